"""The crash demo: two marks around a durable sleep, begun and counted (S09)."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from engine.api import http, parsing
from engine.contracts.demos import DemoAccepted, DemoQuery, Marks
from engine.store import demos


async def start(request: Request) -> Response:
    """``POST /crashdemo?wf=``: once for an id."""
    query, lent = parsing.query(request, DemoQuery), http.ports(request)
    await parsing.nothing(request)
    async with lent.pool.connection() as tx:
        version = lent.posture.app_version
        workflow_id = await demos.start(tx, query.wf, lent.demo_sleep_s, version)
    view = DemoAccepted(accepted=True, workflow_id=workflow_id)
    return http.reply(view, HTTPStatus.ACCEPTED)


async def marks(request: Request) -> Response:
    """``GET /marks?wf=``."""
    query = parsing.query(request, DemoQuery)
    async with http.ports(request).pool.connection() as tx:
        found = await demos.marks(tx, query.wf)
    return http.reply(Marks(s1=found.get("s1", 0), s2=found.get("s2", 0)))
