"""Removes what ended long ago, from both schemas together, one batch per transaction.

A batch commits as a whole, with its audit row, or not at all: a kill loses at most the current
batch. A row that somebody acts on at that moment stays until the next time, and nobody waits.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from engine.core.canon import Json
from engine.core.retention import Kept, Subject, list_arguments
from engine.errors import Unreachable
from engine.ports.evidence import Evidence
from engine.store import Tx, ops
from engine.store import retention as store
from engine.store.faults import describe_error
from engine.store.pool import AWAY, connect
from engine.store.retention import HeldRun, Member
from engine.usecases import step_artifacts
from engine.usecases.ops import STEP
from engine.usecases.release import ReleaseEvidence
from engine.usecases.step_artifacts import Made

ACTOR: Final = "spec11-engine db gc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to remove: all that ended longer ago than ``age``, ``batch`` subjects at a time."""

    age: timedelta
    batch: int
    is_rehearsal: bool
    signoff: Evidence
    needs_signoff: bool


@dataclass(slots=True, kw_only=True)
class Report:
    """What was removed so far, or would be; ``kept`` gives a reason for each that stays."""

    before: datetime
    has_signoff: bool
    runs: int = 0
    workflows: int = 0
    batches: int = 0
    kept: dict[str, Kept] = field(default_factory=dict)

    @property
    def reasons(self) -> dict[str, int]:
        """The number that stays, by reason."""
        return dict(Counter(str(why) for why in self.kept.values()))


Tell = Callable[[Report], None]


async def remove_ended(dsn: str, order: Order, tell: Tell) -> Report:
    """Remove and report. ``tell`` gets every batch. Raises Unreachable, IllegalState."""
    try:
        async with await connect(dsn) as tx, await connect(dsn) as lister:
            return await _remove(tx, lister, order, tell)
    except AWAY as error:
        raise Unreachable(f"the database does not answer: {describe_error(error)}") from error


async def _remove(tx: Tx, lister: Tx, order: Order, tell: Tell) -> Report:
    release = ReleaseEvidence(order.signoff, order.needs_signoff)
    await release.load(tx)
    before = await store.moment_before(tx, order.age)
    removal = _Removal(tx, order, release, Report(before=before, has_signoff=release.is_there))
    async for run_ids in store.list_ended(lister, "ended_runs", before, order.batch):
        batch: Collection[str] = run_ids
        while batch:
            sources = await removal.remove_runs([*batch])
            tell(removal.report)
            batch = sources & removal.report.kept.keys()  # sources of removed forks
    async for workflow_ids in store.list_ended(lister, "ended_workflows", before, order.batch):
        await removal.remove_workflows(workflow_ids)
        tell(removal.report)
    return removal.report


@dataclass(frozen=True, slots=True)
class _Family:
    """The workflows of one subject; ``is_free`` if all ended long ago and may be removed."""

    ids: frozenset[str]
    is_free: bool


@dataclass(slots=True)
class _Removal:
    """One removal. ``gone`` are forks and children that a dry run still finds in the tables."""

    tx: Tx
    order: Order
    release: ReleaseEvidence
    report: Report
    gone: set[str] = field(default_factory=set)

    async def remove_runs(self, run_ids: Sequence[str]) -> set[str]:
        """Remove one batch of runs; return the sources of the removed forks."""
        await asyncio.to_thread(self.release.require_same)
        before, rehearses = self.report.before, self.order.is_rehearsal
        async with store.transaction(self.tx, is_rehearsal=rehearses):
            held = await store.hold_runs(self.tx, run_ids, before, is_rehearsal=rehearses)
            families = await self._hold_families({run.id: run.known for run in held})
            subjects = [_describe(run, families[run.id]) for run in held]
            busy = {*run_ids} - {run.id for run in held}
            leaving, kept = self._choose(subjects)
            if leaving and not rehearses:
                await store.remove_runs(self.tx, [each.id for each in leaving])
                await self._remove_members("runs", leaving)
        self._count(leaving, kept | dict.fromkeys(busy, Kept.BUSY))
        self.report.runs += len(leaving)
        self.gone |= {each.id for each in leaving if each.source}
        return {each.source for each in leaving if each.source}

    async def remove_workflows(self, workflow_ids: Sequence[str]) -> None:
        """Remove one batch of workflows that belong to no run."""
        await asyncio.to_thread(self.release.require_same)
        async with store.transaction(self.tx, is_rehearsal=self.order.is_rehearsal):
            own = await self._leave_out_runs({*workflow_ids} - self.gone)
            families = await self._hold_families({id_: [id_] for id_ in own})
            owned = await store.list_open_promotions(self.tx, own)
            subjects = [
                Subject(id=id_, members=of.ids, is_free=of.is_free, is_owned=id_ in owned)
                for id_, of in families.items()
                if of.ids
            ]
            leaving, kept = self._choose(subjects)
            if leaving and not self.order.is_rehearsal:
                await self._remove_members("workflows", leaving)
        inner = {id_ for each in leaving for id_ in each.members - {each.id}}
        leaving = [each for each in leaving if each.id not in inner]
        self._count(leaving, kept)
        self.report.workflows += len(leaving)
        self.gone |= inner

    async def _leave_out_runs(self, workflow_ids: set[str]) -> set[str]:
        """The workflows that belong to no run and work for no run."""
        inputs = await store.list_inputs(self.tx, workflow_ids)
        words = {id_: {id_} | list_arguments(inputs.get(id_)) for id_ in workflow_ids}
        runs = await store.find_runs(self.tx, {word for each in words.values() for word in each})
        return {id_ for id_, each in words.items() if runs.isdisjoint(each)}

    async def _hold_families(self, known: dict[str, Collection[str]]) -> dict[str, _Family]:
        """Lock the workflows of each subject. A workflow that appeared meanwhile is not free."""
        found = await self._list_families(known)
        if self.order.is_rehearsal:
            held = {each.id for members in found.values() for each in members}
        else:
            wanted = {each.id for members in found.values() for each in members}
            held = await store.hold_workflows(self.tx, wanted)
            found = await self._list_families(known)
        return {
            owner: _Family(
                frozenset(each.id for each in members),
                all(each.id in held and not each.is_young for each in members),
            )
            for owner, members in found.items()
        }

    async def _list_families(self, known: dict[str, Collection[str]]) -> dict[str, list[Member]]:
        found: dict[str, list[Member]] = {owner: [] for owner in known}
        for each in await store.list_family(self.tx, known, self.report.before):
            found[each.owner].append(each)
        return found

    def _choose(self, subjects: Sequence[Subject]) -> tuple[list[Subject], dict[str, Kept]]:
        """The subjects to remove, and a reason for each of the others."""
        leaving, kept = [], {}
        for each in subjects:
            is_named = self.release.names({each.id, *each.members})
            if why := each.why_kept(self.gone, is_named=is_named):
                kept[each.id] = why
            else:
                leaving.append(each)
        return leaving, kept

    async def _remove_members(self, kind: str, leaving: Sequence[Subject]) -> None:
        """Remove the workflows of these subjects; write the audit of the batch."""
        members = {id_ for each in leaving for id_ in each.members}
        await store.remove_workflows(self.tx, members)
        at, token = await ops.now(self.tx)
        task_key = f"op-intent:gc:{token}"
        removed: list[Json] = [*sorted(each.id for each in leaving)]
        told: dict[str, Json] = {
            "op": "gc",
            "targetWorkflowID": None,
            "actor": ACTOR,
            "reason": f"ended before {self.report.before.isoformat()}",
            "at": at.isoformat(),
            "forkedWorkflowID": None,
            "outcome": "applied",
            kind: removed,
        }
        made = step_artifacts.one(
            f"gc:{token}", STEP, Made("json_diagnostic", "op-intent-gc.json", told), task_key, 0
        )
        await ops.keep_audit(self.tx, f"gc:{token}", task_key, made)

    def _count(self, leaving: Sequence[Subject], kept: dict[str, Kept]) -> None:
        self.report.batches += bool(leaving)
        self.report.kept |= kept
        for each in leaving:  # a source that stayed until its forks were removed
            self.report.kept.pop(each.id, None)


def _describe(run: HeldRun, family: _Family) -> Subject:
    return Subject(
        id=run.id,
        members=family.ids,
        is_free=family.is_free,
        source=run.source,
        forks=frozenset(run.forks),
        is_restoring=run.is_restoring,
    )
