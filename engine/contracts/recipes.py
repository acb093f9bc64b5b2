"""Bodies about the recipe registry."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.contracts.base import Digest, Millis, View

VersionStatus = Literal["draft", "candidate", "stable"]
Count = Annotated[int, Field(ge=0)]


class RecipeRow(View):
    """One recipe, at its newest version."""

    id: str
    name: str
    latest_v: str
    status: VersionStatus
    updated_at: Millis


class RecipeVersionRow(View):
    """One version of a recipe."""

    id: str
    v: str
    hash: Digest
    status: VersionStatus
    created_at: Millis
    eval_count: Count
    fixture_count: Count
