"""The api-shim process: JSON over one pool of connections. It enqueues and never executes."""

from __future__ import annotations

import json
import logging
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Router
from starlette.types import ASGIApp
from typing_extensions import override

from engine import logs
from engine.api.connections import Connection
from engine.api.doors import Doors
from engine.api.http import Ports, refuse_unknown
from engine.api.openapi import document
from engine.api.routes import OPERATIONS
from engine.api.routing import Served
from engine.boards.routes import PAGES
from engine.config import Config
from engine.core.doors import Role
from engine.core.policy import Rules
from engine.core.posture import Posture
from engine.core.signoff import Release
from engine.core.triggers import Stance
from engine.listener import open_listener
from engine.ports.evidence import Evidence
from engine.store.dsn import session
from engine.store.endings import Endings
from engine.store.notices import Notices
from engine.store.pool import Pool
from engine.store.queue_signals import QueueSignals
from engine.usecases.promotion import Promotions
from engine.usecases.runs import Ingress
from engine.usecases.signoff import Signoff

TOPOLOGY: Final = "api-shim"
LOANS: Final = 7  # beside three lines of its own: ten sessions in all (docs/contract.md, Sessions)
GRACE_S: Final = 1  # beyond the longest loan of a connection
BACKLOG: Final = 2048
FILES_BESIDES: Final = 128  # open ones that are no client's: of Python, the database, the log


def build(config: Config, dsn: str) -> Starlette:
    """The ASGI application for ``config`` on ``dsn``. The database may come later."""
    dsn = session(dsn, "spec11-api")
    pool, notices = Pool(dsn, LOANS, config.database.timeout_ms / 1000), Notices(dsn)
    endings, signals = Endings(dsn, pool), QueueSignals(dsn)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with notices.running(), endings.running(), signals.running():
            yield
        await pool.close()

    app = Application(lifespan=lifespan)
    app.router = Router(
        [Served(operation) for operation in (*OPERATIONS, *PAGES)],
        redirect_slashes=False,
        default=refuse_unknown,
        lifespan=lifespan,
    )
    app.state.openapi = _openapi
    app.state.ports = Ports(
        pool=pool,
        notices=notices,
        ingress=Ingress(_rules(config)),
        promotions=Promotions(pool, endings, signals, config.runtime.app_version),
        signals=signals,
        posture=_posture(config),
        demo_sleep_s=config.timing.sleep_ms / 1000,
        load_dir=config.folders.load_results,
        doors=_doors(config),
        secrets=config.secrets,
        signoff=_signoff(config),
    )
    return app


class Application(Starlette):
    """Its routes and nothing around them: each turns its own errors into answers (D0)."""

    @override
    def build_middleware_stack(self) -> ASGIApp:
        return self.router


@cache
def _openapi() -> bytes:
    """The document of what is served; made when first asked for, a start has no use for it."""
    return json.dumps(document(OPERATIONS), indent=1).encode()


def serve(config: Config, dsn: str) -> int:
    """0, after SIGTERM or SIGINT. Raises InUse for a port that is taken, Misconfigured."""
    logs.begin()
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # uvicorn raises it again at its end
    app = build(config, dsn)
    settings = uvicorn.Config(
        app,
        loop="uvloop",
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # nothing here asks who the client is
        server_header=False,
        backlog=BACKLOG,
        limit_concurrency=_connections(config.http.max_connections),
        timeout_graceful_shutdown=-(-config.database.timeout_ms // 1000) + GRACE_S,
    )
    with (
        open_listener(config.http.host, config.http.port, BACKLOG) as listener,
        suppress(KeyboardInterrupt),
    ):
        Server(settings, app.state.ports.notices).run(sockets=[listener])
    return 0


class Server(uvicorn.Server):
    """A server that says when it listens, and lets long-polls go before it waits for them."""

    def __init__(self, settings: uvicorn.Config, notices: Notices) -> None:
        super().__init__(settings)
        self._notices = notices

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            host = f"[{host}]" if ":" in host else host
            sys.stdout.write(f"listening on http://{host}:{port}\n")
            sys.stdout.flush()

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._notices.close()
        await super().shutdown(sockets)


def _connections(wanted: int) -> int:
    """How many clients at once: ``wanted``, or fewer when the system allows fewer open files."""
    needed = wanted + FILES_BESIDES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(wanted, soft - FILES_BESIDES))


def _rules(config: Config) -> Rules:
    """A key is needed for the run itself or for its tasks, whichever is partitioned (B57)."""
    return Rules(
        partitioned=config.intents.partitioned or config.tasks.partitioned,
        gate_ttl_s=config.timing.gate_ttl_s,
        app_version=config.runtime.app_version,
    )


def _doors(config: Config) -> Doors:
    tokens = {
        Role.OPERATOR: config.access.operator_tokens,
        Role.READER: config.access.reader_tokens,
        Role.WEBHOOK: config.access.webhook_tokens,
    }
    given = {role: keys for role, keys in tokens.items() if keys is not None}
    return Doors(given, config.access.webhook_secrets)


def _posture(config: Config) -> Posture:
    return Posture(
        topology=TOPOLOGY,
        runtime_mode=config.runtime.mode,
        oc_mode=config.agents.mode,
        oc_strict_mode=config.agents.strict,
        sbx_mode=config.sandboxes.mode,
        sbx_provider=config.sandboxes.provider,
        app_version=config.runtime.app_version,
        claim_scope=config.release.scope,
    )


def _signoff(config: Config) -> Signoff:
    release = Release(
        commit=config.release.commit,
        tree=config.release.tree,
        app_version=config.runtime.app_version,
        scope=config.release.scope,
    )
    stance = Stance(
        scope=config.release.scope,
        oc_mode=config.agents.mode,
        oc_strict=config.agents.strict,
        sbx_mode=config.sandboxes.mode,
        partitioned=config.intents.partitioned and config.tasks.partitioned,
    )
    return Signoff(Evidence(config.release.signoff_dir), release, stance)
