"""The floor to measure requests against: Starlette, one statement a request, nothing checked.

`python -m benchmarks.bare_http DSN OWNER` prints `listening on http://127.0.0.1:<port>` and
serves until SIGTERM, or until the process OWNER has ended. `POST /` is one INSERT and one enqueue,
`POST /answer` one message.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString

import uvicorn
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.cli import owner

CONNECTIONS: Final = 8  # as the api-shim has
TABLE: Final = "CREATE TABLE IF NOT EXISTS app.bare (id text PRIMARY KEY, body jsonb NOT NULL)"
START: Final = """
WITH kept AS (INSERT INTO app.bare (id, body) VALUES (%(id)s, %(body)s) RETURNING id)
SELECT dbos.enqueue_workflow(workflow_name => 'Bare', queue_name => 'bareQ', workflow_id => id,
                             app_version => 'bare', application_name => 'bare')
FROM kept
"""
ANSWER: Final = "SELECT dbos.send_message(%(id)s, %(body)s::json, 'answer', %(id)s)"


class Body(BaseModel):
    """The least that any handler does with a body: parse it."""

    goal: str


async def start(request: Request) -> Response:
    """One row, one enqueue, one commit."""
    return await _execute(request, START)


async def answer(request: Request) -> Response:
    """One message, one commit."""
    return await _execute(request, ANSWER)


async def _execute(request: Request, statement: LiteralString) -> Response:
    raw = await request.body()
    goal = Body.model_validate_json(raw).goal
    async with request.app.state.pool.connection() as connection:
        await connection.execute(statement, {"id": goal, "body": raw.decode()})
    return JSONResponse({"id": goal}, 201)


def build(dsn: str) -> Starlette:
    """The application on the database ``dsn``."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            dsn,
            min_size=CONNECTIONS,
            max_size=CONNECTIONS,
            kwargs={"autocommit": True},
            open=False,
        )
        async with pool:
            async with pool.connection() as connection:
                await connection.execute(TABLE)
            app.state.pool = pool
            yield

    routes = [Route("/", start, methods=["POST"]), Route("/answer", answer, methods=["POST"])]
    return Starlette(routes=routes, lifespan=lifespan)


def main(dsn: str) -> None:
    """Serve until SIGTERM."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(build(dsn), loop="uvloop", log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    owner.follow(int(sys.argv[2]))
    main(sys.argv[1])
