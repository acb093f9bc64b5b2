"""Runs and workflows that ended long ago: found, held, and removed from both schemas at once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from psycopg.rows import class_row, scalar_row

from engine.store import Tx, sql

SQL: Final = sql.load("retention")
Kind = Literal["ended_runs", "ended_workflows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRun:
    """One run that ended; ``known`` are ids under which the durable engine may know it."""

    id: str
    source: str | None
    forks: list[str]
    is_restoring: bool
    known: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One workflow of a run, or of another workflow; a young one has not ended, or did lately."""

    owner: str
    id: str
    is_young: bool


async def moment_before(tx: Tx, age: timedelta) -> datetime:
    """The moment of ``age`` ago, by the database's clock."""
    found: list[datetime] = await _scalars(tx, "moment", age_s=age.total_seconds())
    return found[0]


@asynccontextmanager
async def transaction(tx: Tx, *, is_rehearsal: bool) -> AsyncIterator[None]:
    """A transaction each of whose statements sees what is committed; a rehearsal cannot write."""
    async with tx.transaction():
        await tx.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        if is_rehearsal:
            await tx.execute("SET TRANSACTION READ ONLY")
        yield


async def list_ended(tx: Tx, kind: Kind, before: datetime, size: int) -> AsyncIterator[list[str]]:
    """The ids of all that ended before the moment, ``size`` at a time, of one look at the table.

    The server keeps the list meanwhile, and no transaction stays open for it.
    """
    async with tx.cursor(kind, withhold=True, row_factory=scalar_row) as rows:
        await rows.execute(SQL[kind], {"before": before})
        while ids := await rows.fetchmany(size):
            yield ids


async def hold_runs(
    tx: Tx, run_ids: Sequence[str], before: datetime, *, is_rehearsal: bool
) -> list[HeldRun]:
    """Those of the runs that ended before the moment and that nobody else holds.

    They are locked as an operation locks them: the run first, then its workflows.
    """
    held = list(run_ids)
    if not is_rehearsal:
        held = await _scalars(tx, "hold_runs", run_ids=held, before=before)
    async with tx.cursor(row_factory=class_row(HeldRun)) as rows:
        return await (await rows.execute(SQL["runs"], {"run_ids": held})).fetchall()


async def list_family(
    tx: Tx, known: Mapping[str, Collection[str]], before: datetime
) -> list[Member]:
    """The workflows of those ids with all that they began, by whose they are."""
    pairs = [(owner, id_) for owner, ids in known.items() for id_ in ids]
    values = {
        "owners": [owner for owner, _ in pairs],
        "workflow_ids": [id_ for _, id_ in pairs],
        "before": before,
    }
    async with tx.cursor(row_factory=class_row(Member)) as rows:
        return await (await rows.execute(SQL["family"], values)).fetchall()


async def hold_workflows(tx: Tx, workflow_ids: Collection[str]) -> set[str]:
    """Those of the workflows that nobody else holds, locked."""
    return {*await _scalars(tx, "hold_workflows", workflow_ids=[*workflow_ids])}


async def list_inputs(tx: Tx, workflow_ids: Collection[str]) -> dict[str, Any]:
    """What each of the workflows was started with."""
    async with tx.cursor() as rows:
        found = await rows.execute(SQL["arguments"], {"workflow_ids": [*workflow_ids]})
        return {id_: json.loads(inputs or "{}") for id_, inputs in await found.fetchall()}


async def find_names(tx: Tx, words: AbstractSet[str]) -> set[str]:
    """Which of the words name a run or a workflow that is there."""
    of_runs = await find_runs(tx, words)
    return of_runs | {*await _scalars(tx, "names_of_workflows", words=[*words])}


async def find_runs(tx: Tx, words: AbstractSet[str]) -> set[str]:
    """Which of the words name a run that is there."""
    return {*await _scalars(tx, "names_of_runs", words=[*words])}


async def list_open_promotions(tx: Tx, workflow_ids: Collection[str]) -> set[str]:
    """The workflows whose promotion has no recorded end."""
    return {*await _scalars(tx, "open_promotions", workflow_ids=[*workflow_ids])}


async def remove_runs(tx: Tx, run_ids: Sequence[str]) -> None:
    """Remove everything of the runs from schema app except their audit."""
    intent_ids = await _scalars(tx, "remove_runs", run_ids=[*run_ids])
    await tx.execute(SQL["remove_intents"], {"intent_ids": intent_ids})


async def remove_workflows(tx: Tx, workflow_ids: Collection[str]) -> None:
    """Remove everything of the workflows from both schemas."""
    values = {"workflow_ids": [*workflow_ids]}
    await tx.execute(SQL["remove_traces"], values)
    await tx.execute(SQL["remove_workflows"], values)


async def _scalars(tx: Tx, name: str, **values: object) -> list[Any]:
    async with tx.cursor(row_factory=scalar_row) as rows:
        return await (await rows.execute(SQL[name], values)).fetchall()
