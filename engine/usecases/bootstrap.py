"""Prepare a database for the engine: its schemas, then its first recipes (D8)."""

from __future__ import annotations

import asyncio

from engine.store import migrations, pool
from engine.usecases.seed import seed


def migrate(dsn: str) -> list[str]:
    """Apply the missing migrations and return their names; a repeat changes nothing."""
    applied = migrations.migrate(dsn)
    asyncio.run(_plant_recipes(dsn))
    return applied


async def _plant_recipes(dsn: str) -> None:
    async with await pool.connect(dsn) as tx, tx.transaction():
        await seed(tx)
