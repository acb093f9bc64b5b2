"""``/api/run``, ``/api/runs``, and the header and status of a run."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from engine.api import http, parsing
from engine.contracts.runs import (
    CompatRunRequest,
    RunHeader,
    RunOptions,
    RunStarted,
    RunStartRequest,
)
from engine.core.posture import Posture
from engine.usecases import runs, streams
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
    return http.reply(RunHeader.of(seen.run, seen.progress, seen.workflow, lent.posture))


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
    started = RunStarted.of(
        seen.run, seen.progress, seen.workflow, posture, is_replay=seen.is_replay
    )
    return http.reply(started, status)
