"""Bodies of the crash demo."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from engine.contracts.base import Name, View, Wire


class DemoQuery(Wire):
    """The demo, by the id of its workflow."""

    wf: Annotated[Name, Field(min_length=1)]


class DemoAccepted(View):
    """The demo is durable."""

    accepted: bool
    workflow_id: str


class Marks(View):
    """How often each mark is in the demo's log."""

    s1: int
    s2: int
