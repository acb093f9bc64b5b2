"""Ends a run whose workflow the durable engine ended by itself.

The durable engine does so when a time limit passes or a workflow was recovered too often. Every
worker looks; one worker at a time moves runs, under the same locks as an operation.
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
    """Reconcile again and again until the process ends."""
    while True:
        await pool.insist(reconcile_once)
        await asyncio.sleep(LOOK_S)


async def reconcile_once(tx: Tx) -> None:
    """End the runs whose workflow ended by itself, unless another worker does so now.

    While there are none, it costs one query outside of any transaction.
    """
    found = await reconcile.find_endings(tx)
    if not found.ended and not found.settled:
        return
    async with tx.transaction():
        if await reconcile.alone(tx):
            endings = await reconcile.find_endings(tx)
            for each in endings.ended:
                await _end(tx, each)
            await reconcile.forget(tx, endings.settled)


async def _end(tx: Tx, ended: Ended) -> None:
    owner, status = await ops.lock_workflow(tx, ended.workflow_uuid)
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
    """The end of the workflow as a message."""
    try:
        return str(json.loads(ended.error or "")["message"])
    except (ValueError, KeyError, TypeError):
        return f"the durable engine gave up: {ended.status}"
