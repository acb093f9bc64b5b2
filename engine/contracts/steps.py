"""Bodies of the steps of a run and their artifacts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.contracts.base import Millis, View


class ArtifactRef(View):
    """The uri, kind and digest of one artifact."""

    id: str
    workflow_id: str = Field(alias="workflowID")
    step_id: str = Field(alias="stepID")
    kind: str
    mime: str
    size: Annotated[int, Field(ge=0)]
    storage_key: str


class StepView(View):
    """The newest attempt of one step."""

    step_id: str = Field(alias="stepID")
    name: str
    phase: str
    status: Literal["SUCCESS", "ERROR"]
    attempt: Annotated[int, Field(ge=1)]
    started_at: Millis
    ended_at: Millis
    artifact_refs: list[ArtifactRef]
    trace_id: str | None
    span_id: str | None
