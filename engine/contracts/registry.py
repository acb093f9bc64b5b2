"""Recipes, queues and health as the API lists them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.contracts.base import Wire

Lifecycle = Literal["draft", "candidate", "stable"]


class RecipeRow(Wire):
    """One recipe and its newest version by natural order."""

    id: str
    name: str
    latest_v: Annotated[str, Field(alias="latestV")]
    status: Lifecycle
    updated_at: int


class VersionRow(Wire):
    """One version of a recipe."""

    id: str
    v: str
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    status: Lifecycle
    created_at: int
    eval_count: int
    fixture_count: int


class DepthRow(Wire):
    """How many workflows of one queue stand under one word."""

    queue_name: str | None
    status: str
    workflow_count: int
    oldest_created_at: int
    newest_created_at: int


class PostgresHealth(Wire):
    """Whether the database answers, and its version."""

    ok: bool
    version: str | None


class SchemaHealth(Wire):
    """The newest migration of each schema."""

    app: int | None
    dbos: int | None


class LiveWorker(Wire):
    """A worker that beat within five seconds."""

    executor_id: str
    app_version: str
    seen_at: int


class Health(Wire):
    """Answer of ``GET /healthz``."""

    ok: bool
    reasons: list[str]
    warnings: list[str]
    app_version: str
    claim_scope: str
    postgres: PostgresHealth
    schemas: SchemaHealth
    workers: list[LiveWorker]
    wanted_version: str
