"""Whether a start or a reply would be durable now, and who would execute it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from psycopg import Error

from engine.store import health as store
from engine.store.health import Worker
from engine.store.pool import Pool

DEADLINE_S: Final = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """What was found; ``reasons`` make it unhealthy, ``warnings`` do not."""

    server: str | None
    app_schema: int | None
    dbos_schema: int | None
    workers: tuple[Worker, ...]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
