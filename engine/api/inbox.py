"""The inbox: all gates that wait for a person now."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from engine.api import http, parsing
from engine.contracts.base import millis
from engine.contracts.inbox import InboxQuery, InboxRow
from engine.usecases import inbox
from engine.usecases.inbox import Waiting


async def list_inbox(request: Request) -> Response:
    """``GET /api/hitl/inbox``: open gates, the most urgent first."""
    query = parsing.query(request, InboxQuery)
    async with http.ports(request).pool.connection() as tx:
        found = await inbox.list_inbox(tx, query.limit)
    return http.reply_list([_row(each) for each in found])


def _row(waiting: Waiting) -> InboxRow:
    gate = waiting.gate
    return InboxRow(
        workflow_id=gate.workflow_id,
        gate_key=gate.gate_key,
        topic=gate.topic,
        deadline=millis(gate.deadline_at),
        sla_status=waiting.sla.value,
        escalation_workflow_id=waiting.escalation_id,
        mismatch_risk=waiting.mismatch_risk,
        created_at=millis(gate.created_at),
    )
