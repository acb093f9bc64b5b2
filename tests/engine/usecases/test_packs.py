from __future__ import annotations

import asyncio
from itertools import count
from typing import Any, ClassVar

import psycopg
from typing_extensions import override

from engine.store import packs
from engine.store.pool import connect
from tests.engine.shim_process import Shim

READINGS = 100
APP = "UPDATE app.runs SET error = %(n)s::text WHERE workflow_id = %(w)s"
ENGINE = "UPDATE dbos.workflow_status SET error = %(n)s::text WHERE workflow_uuid = %(w)s"


class Writer:
    """Somebody who writes both schemas in one transaction, with another number each time."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], wid: str) -> None:
        self._connection = connection
        self._wid = wid
        self._numbers = count()

    async def write(self) -> None:
        values = {"n": next(self._numbers), "w": self._wid}
        async with self._connection.transaction():
            await self._connection.execute(APP, values)
            await self._connection.execute(ENGINE, values)


class Interrupted(psycopg.AsyncCursor[Any]):
    """A cursor of the reader: before each of its statements, the writer writes and commits."""

    writer: ClassVar[Writer]

    @override
    async def execute(self, query: Any, params: Any = None, **how: Any) -> Any:
        await self.writer.write()
        return await super().execute(query, params, **how)


def test_both_schemas_are_read_at_one_moment(own_shim: Shim) -> None:
    wid = own_shim.start("changes all the time").json()["workflowID"]

    seen = asyncio.run(_readings(own_shim.dsn, wid))

    assert [(ours, theirs) for ours, theirs in seen if ours != theirs] == []
    assert len({*seen}) == READINGS, "void: nothing was written in between"


async def _readings(dsn: str, wid: str) -> list[tuple[Any, Any]]:
    """What either schema said at each reading, while somebody wrote between its statements."""
    async with await connect(dsn) as reader, await connect(dsn) as writer:
        Interrupted.writer = Writer(writer, wid)
        reader.cursor_factory = Interrupted
        return [await _reading(reader, wid) for _ in range(READINGS)]


async def _reading(reader: Any, wid: str) -> tuple[Any, Any]:
    found = await packs.load_pack(reader, wid)
    assert found is not None
    return found.app["runs"][0]["error"], found.engine["statuses"][0]["error"]
