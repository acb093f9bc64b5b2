"""The floor to measure starts against: Starlette, one INSERT and one enqueue, nothing checked.

`python -m benchmarks.bare_http DSN` prints `listening on http://127.0.0.1:<port>`.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import uvicorn
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TABLE: Final = "CREATE TABLE IF NOT EXISTS app.bare (id text PRIMARY KEY, body jsonb NOT NULL)"
START: Final = """
WITH kept AS (INSERT INTO app.bare (id, body) VALUES (%(id)s, %(body)s) RETURNING id)
SELECT dbos.enqueue_workflow(workflow_name => 'Bare', queue_name => 'bareQ', workflow_id => id,
                             app_version => 'bare', application_name => 'bare')
FROM kept
"""


class Body(BaseModel):
    """The least that any handler does with a body: parse it."""

    goal: str


async def start(request: Request) -> Response:
    """One row, one enqueue, one commit."""
    raw = await request.body()
    goal = Body.model_validate_json(raw).goal
    async with request.app.state.pool.connection() as connection:
        await connection.execute(START, {"id": goal, "body": raw.decode()})
    return JSONResponse({"id": goal}, 201)


def build(dsn: str) -> Starlette:
    """The application on the database ``dsn``."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            dsn, min_size=8, max_size=8, kwargs={"autocommit": True}, open=False
        )
        async with pool:
            async with pool.connection() as connection:
                await connection.execute(TABLE)
            app.state.pool = pool
            yield

    return Starlette(routes=[Route("/", start, methods=["POST"])], lifespan=lifespan)


def main(dsn: str) -> None:
    """Serve until SIGTERM."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(build(dsn), log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1])
