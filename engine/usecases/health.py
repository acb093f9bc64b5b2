"""Whether a start or a reply is durable now, and which workers execute it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.store import health as store
from engine.store import migrations
from engine.store.health import Look
from engine.store.pool import Pool


@dataclass(frozen=True, slots=True)
class Checkup:
    """The result: ``reasons`` make the engine unhealthy, ``warnings`` do not."""

    look: Look | None
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]


async def checkup(pool: Pool, wanted_version: str) -> Checkup:
    """The health of the database and of the workers of ``wanted_version``, within 3 s."""
    look = await store.look(pool)
    return Checkup(look, tuple(_reasons(look)), tuple(_warnings(look, wanted_version)))


def _reasons(look: Look | None) -> Iterator[str]:
    if look is None:
        yield "postgres does not answer"
        return
    table = (
        ("app", look.app_schema, migrations.newest()),
        ("dbos", look.dbos_schema, migrations.DBOS_SCHEMA),
    )
    for name, found, shipped in table:
        if found is None:
            yield f"schema {name} is missing"
        elif found != shipped:
            yield f"schema {name} is at version {found}, this code wants {shipped}"


def _warnings(look: Look | None, wanted_version: str) -> Iterator[str]:
    live = look.workers if look else []
    if all(worker.app_version != wanted_version for worker in live):
        yield f"no live worker of version {wanted_version}: starts are durable and wait"
