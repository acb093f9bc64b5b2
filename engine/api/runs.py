"""``/api/run``, ``/api/runs``, and the header and status of a run."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from engine.api import http, parsing
from engine.contracts.base import millis
from engine.contracts.runs import (
    CompatRunRequest,
    RecipeRef,
    RunError,
    RunHeader,
    RunOptions,
    RunStarted,
    RunStartRequest,
)
from engine.core import runs as rules
from engine.usecases import runs, streams
from engine.usecases.posture import Posture
from engine.usecases.runs import Seen


async def start(request: Request) -> Response:
    """``POST /api/run``: 201 for the first start, 200 for every exact repeat of it (D2)."""
    body = await parsing.body(request, RunStartRequest)
    lent = http.ports(request)
    options = (body.opts or RunOptions()).to_core()
    ref = (body.recipe_ref.id, body.recipe_ref.v)
    async with lent.pool.connection() as tx:
        seen = await lent.ingress.start(tx, ref, body.form_data, options)
    return _reply_to_start(seen, lent.posture)


async def start_stored(request: Request) -> Response:
    """``POST /api/runs``: the same for an intent that is already stored."""
    body = await parsing.body(request, CompatRunRequest)
    lent = http.ports(request)
    async with lent.pool.connection() as tx:
        seen = await lent.ingress.start_stored(tx, body.intent_id, body.to_core())
    return _reply_to_start(seen, lent.posture)


async def header(request: Request) -> Response:
    """``GET /api/runs/:wid``."""
    lent = http.ports(request)
    async with lent.pool.connection() as tx:
        seen = await runs.load_run(tx, request.path_params["wid"])
    return http.reply(RunHeader(**_fields(seen, lent.posture)))


async def status_stream(request: Request) -> Response:
    """``GET /api/runs/:wid/stream/status``: one JSON value per line, until the run ends."""
    lent, wid = http.ports(request), request.path_params["wid"]
    async with lent.pool.connection() as tx:
        run_id = await streams.run_id(tx, wid)

    async def lines() -> AsyncIterator[str]:
        async for word in streams.words(lent.pool, run_id, lent.notices.is_closed):
            yield f"{json.dumps(word)}\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


def _reply_to_start(seen: Seen, posture: Posture) -> Response:
    status = HTTPStatus.OK if seen.is_replay else HTTPStatus.CREATED
    return http.reply(RunStarted(**_fields(seen, posture), is_replay=seen.is_replay), status)


def _fields(seen: Seen, posture: Posture) -> dict[str, Any]:
    """Every key of the header, from the app row, the engine row and the process."""
    run, progress, workflow = seen.run, seen.progress, seen.workflow
    return {
        "workflow_id": run.workflow_id,
        "run_id": run.id,
        "recipe_ref": RecipeRef(id=run.recipe_id, v=run.recipe_v),
        "recipe_hash": run.recipe_hash,
        "intent_hash": run.intent_hash,
        "status": str(rules.merge_status(progress.status, workflow.status if workflow else None)),
        "durable_status": str(progress.status),
        "workflow_name": rules.WORKFLOW_NAME,
        "created_at": millis(progress.created_at),
        "updated_at": millis(progress.updated_at),
        "queue": run.queue_name,
        "queue_partition_key": run.queue_partition_key,
        "lane": run.lane,
        "priority": run.priority,
        "trace_id": run.trace_id,
        "span_id": None,
        "next_action": progress.next_action,
        "last_step": progress.last_step,
        "retry_count": progress.retry_count,
        "error": None if progress.error is None else RunError(message=progress.error),
        "output": workflow.result if workflow else None,
        "topology": posture.topology,
        "runtime_mode": posture.runtime_mode,
        "oc_mode": posture.oc_mode,
        "sbx_mode": posture.sbx_mode,
        "sbx_provider": posture.sbx_provider,
        "oc_strict_mode": posture.oc_strict_mode,
        "served_by": progress.served_by,
        "app_version": posture.app_version,
        "claim_scope": posture.claim_scope,
        "workflow_version": workflow.application_version if workflow else None,
        "execution_id": progress.execution_id,
    }
