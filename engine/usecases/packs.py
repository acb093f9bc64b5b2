"""Everything about a run at one moment: as a pack, or as proof cards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from engine.core import cards as rules
from engine.core import packs, proofs
from engine.core.cards import Card
from engine.core.redaction import redact
from engine.errors import Missing, Unreachable
from engine.store import Tx
from engine.store import packs as store
from engine.store.faults import describe_error
from engine.store.pool import AWAY, connect

EXPORT_S: Final = 60.0  # nobody waits behind it
TEXTS: Final = ("id", "claim", "evidence", "provenance", "raw_ref")


async def pack(tx: Tx, wid: str, secrets: Collection[str]) -> bytes:
    """The canonical bytes of the run's pack, without any of ``secrets``. Raises Missing."""
    found = await store.load_pack(tx, wid)
    return await asyncio.to_thread(lambda: packs.seal_pack(_assemble_pack(found, wid), secrets))


async def export_pack(dsn: str, wid: str, secrets: Collection[str]) -> bytes:
    """The pack over a connection of its own. Raises Missing, Unreachable."""
    async with _connect(dsn) as tx:
        return await pack(tx, wid, secrets)


async def load_cards(dsn: str, wid: str, secrets: Collection[str]) -> list[Card]:
    """The cards over a connection of their own. Raises Missing, Unreachable."""
    async with _connect(dsn) as tx:
        return await cards(tx, wid, secrets)


@asynccontextmanager
async def _connect(dsn: str) -> AsyncIterator[Tx]:
    try:
        async with asyncio.timeout(EXPORT_S), await connect(dsn) as tx:
            yield tx
    except AWAY as error:
        raise Unreachable(f"the database does not answer: {describe_error(error)}") from error


async def cards(tx: Tx, wid: str, secrets: Collection[str]) -> list[Card]:
    """The run's proof cards, without any of ``secrets``. Raises Missing."""
    found = await store.load_pack(tx, wid)
    return await asyncio.to_thread(lambda: _cards(_assemble_pack(found, wid), secrets))


def _cards(pack: dict[str, Any], secrets: Collection[str]) -> list[Card]:
    return [_clean(card, secrets) for card in proofs.of_run(rules.subjects(pack)[0])]


def _clean(card: Card, secrets: Collection[str]) -> Card:
    texts: Any = redact({name: getattr(card, name) for name in TEXTS}, secrets)[0]
    return replace(card, **texts)


def _assemble_pack(found: store.Found | None, wid: str) -> dict[str, Any]:
    if found is None:
        raise Missing("run not found")
    return packs.assemble_pack(found.app, found.engine, found.audits, wid)
