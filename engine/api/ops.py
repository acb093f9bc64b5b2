"""Health and queue depth."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from engine.api import http, parsing
from engine.contracts.base import millis
from engine.contracts.health import Health, PostgresHealth, SchemaVersions, WorkerHealth
from engine.contracts.queues import DepthQuery, DepthRow
from engine.store import queues
from engine.usecases import health


async def healthz(request: Request) -> Response:
    """``GET /healthz``: 200 when starts and replies are durable now, else 503."""
    lent = http.ports(request)
    wanted = lent.posture.app_version
    found = await health.checkup(lent.pool, wanted)
    look = found.look
    workers = [
        WorkerHealth(
            executor_id=worker.executor_id,
            app_version=worker.app_version,
            seen_at=millis(worker.seen_at),
        )
        for worker in (look.workers if look else [])
    ]
    body = Health(
        ok=not found.reasons,
        reasons=list(found.reasons),
        warnings=list(found.warnings),
        app_version=wanted,
        claim_scope=lent.posture.claim_scope,
        postgres=PostgresHealth(ok=look is not None, version=look.server if look else None),
        schemas=SchemaVersions(
            app=look.app_schema if look else None, dbos=look.dbos_schema if look else None
        ),
        workers=workers,
        wanted_version=wanted,
    )
    return http.reply(body, HTTPStatus.OK if body.ok else HTTPStatus.SERVICE_UNAVAILABLE)


async def queue_depth(request: Request) -> Response:
    """``GET /api/ops/queue-depth``: workflows by queue and status."""
    query = parsing.query(request, DepthQuery)
    async with http.ports(request).pool.connection() as tx:
        found = await queues.depth(tx, query.limit)
    return http.reply_list([DepthRow(**asdict(row)) for row in found])
