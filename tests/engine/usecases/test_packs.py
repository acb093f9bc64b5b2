from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

from engine.store import packs
from engine.store.pool import connect
from tests.engine.shim_process import Shim

READINGS = 100
APP = "UPDATE app.runs SET error = %(n)s::text WHERE workflow_id = %(w)s"
ENGINE = "UPDATE dbos.workflow_status SET error = %(n)s::text WHERE workflow_uuid = %(w)s"


def test_both_schemas_are_read_at_one_moment(own_shim: Shim) -> None:
    wid = own_shim.start("changes all the time").json()["workflowID"]

    seen = asyncio.run(_readings(own_shim.dsn, wid))

    assert len(seen) == READINGS
    assert [(ours, theirs) for ours, theirs in seen if ours != theirs] == []
    assert len({*seen}) > READINGS // 4, "void: hardly anything was written in between"


async def _readings(dsn: str, wid: str) -> list[tuple[Any, Any]]:
    """What either schema said at each reading, while somebody wrote both at once."""
    async with await connect(dsn) as reader, await connect(dsn) as writer:
        writing = asyncio.create_task(_write_for_ever(writer, wid))
        try:
            return [await _reading(reader, wid) for _ in range(READINGS)]
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)


async def _reading(reader: Any, wid: str) -> tuple[Any, Any]:
    found = await packs.load_pack(reader, wid)
    assert found is not None
    return found.app["runs"][0]["error"], found.engine["statuses"][0]["error"]


async def _write_for_ever(writer: Any, wid: str) -> None:
    for number in count():
        async with writer.transaction():
            await writer.execute(APP, {"n": number, "w": wid})
            await writer.execute(ENGINE, {"n": number, "w": wid})
