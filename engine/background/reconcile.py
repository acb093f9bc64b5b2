"""Bring a run to the end that the durable engine gave its workflow without asking us.

That is a time limit that passed, and a workflow that was recovered too often. Every worker looks;
one at a time moves runs, under the same locks as an operation.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Final, Never

from engine.core import runs as words
from engine.store import Tx, ops, reconcile, steps
from engine.store.pool import Pool
from engine.store.reconcile import Ended

log = logging.getLogger(__name__)
LOOK_S: Final = 1.0
OUT_OF_TIME: Final = "the run's time limit passed"


async def for_ever(pool: Pool) -> Never:
    """Look, and bring to their end, until the process ends."""
    while True:
        await pool.insist(_round)
        await asyncio.sleep(LOOK_S)


async def _round(tx: Tx) -> None:
    """One query while no run is on its way, two while none has to be brought to its end."""
    if not (found := await reconcile.ended(tx)):
        return
    async with tx.transaction():
        if await reconcile.alone(tx):
            for each in found:
                await _end(tx, each)


async def _end(tx: Tx, ended: Ended) -> None:
    owner, status = await ops.locked(tx, ended.workflow_uuid)
    if owner is None or owner.status in words.TERMINAL or status != ended.status:
        return  # somebody moved it since
    log.warning("workflow %s ended %s by itself", ended.workflow_uuid, status)
    if status == "CANCELLED":
        _, token = await ops.now(tx)
        await ops.cancel(tx, ended.workflow_uuid, owner, token)
        await reconcile.out_of_time(tx, owner.id, OUT_OF_TIME)
    else:
        await steps.fail(tx, ended.workflow_uuid, _message(ended))


def _message(ended: Ended) -> str:
    """What the workflow ended with, in words."""
    try:
        return str(json.loads(ended.error or "")["message"])
    except (ValueError, KeyError, TypeError):
        return f"the durable engine gave up: {ended.status}"
