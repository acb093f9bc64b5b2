"""Bodies of the gates that wait for people."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.contracts.base import Millis, View, Wire


class InboxQuery(Wire):
    """The number of rows, the most urgent first."""

    limit: Annotated[int, Field(ge=1, le=200)] = 100


class InboxRow(View):
    """One open gate. ``slaStatus`` depends only on the deadline, by the database's clock."""

    workflow_id: str = Field(alias="workflowID")
    gate_key: str
    topic: str
    deadline: Millis
    sla_status: Literal["NORMAL", "WARNING", "CRITICAL"]
    escalation_workflow_id: str | None = Field(alias="escalationWorkflowID")
    mismatch_risk: bool
    created_at: Millis
