"""Writes a plan's patches and takes them back, by row and by file, across crashes (D25).

First comes the row with the old content, then the file, then the mark on the row. A repeat reads
the file first and does only the rest. Files of a run change only under a lock of one process, and
only while its database session lives.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from engine.background.file_writes import Hands, Pen
from engine.core import patches as rules
from engine.core.executions import Execution
from engine.core.patches import Entry, Patch, Why, Wish
from engine.errors import RunCanceled, RunFailed
from engine.ports.workspace import Workspace
from engine.store import Tx, steps
from engine.store import patches as store
from engine.store.pool import Pool

CANCELED: Final = "canceled"


@dataclass(frozen=True, slots=True)
class Patching:
    """Patches, over one pool of connections and one workspace."""

    pool: Pool
    workspace: Workspace

    async def apply(self, execution: Execution, wanted: Sequence[Patch]) -> list[Entry]:
        """Write all of ``wanted``; return its history in the same order.

        Raises RunFailed for a path or a file that may not be changed, and RunCanceled.
        """
        if not wanted:
            return []
        return await self.pool.insist(_apply_patches, self.workspace, execution, wanted)

    async def undo(self, execution: Execution, error: str) -> str:
        """Take back everything that the run wrote; return ``error``, or a worse one.

        Does nothing if the execution does not own its run any more or the run has ended.
        """
        return await self.pool.insist(_undone, self.workspace, execution, error)

    async def compensate(self, run_id: str) -> int:
        """Take back the patches of a canceled run; return their number (0 if the run goes on).

        Raises RunFailed if a patch cannot be taken back; the run's row records this too.
        """
        return await self.pool.insist(_compensate_run, self.workspace, run_id)

    async def reapply(self, execution: Execution) -> None:
        """Write again what a cancellation took back of a run that now goes on.

        Raises RunFailed like ``apply``. It leaves a run alone that was canceled again, because the
        next step of that run finds the cancellation.
        """
        with suppress(RunCanceled):
            await self.pool.insist(_reapply_patches, self.workspace, execution)


async def _apply_patches(
    tx: Tx, workspace: Workspace, execution: Execution, wanted: Sequence[Patch]
) -> list[Entry]:
    async with store.alone(tx, execution.run_id):
        # A cancellation came before this read, or its compensation waits for the lock.
        await steps.subject(tx, execution.id)
        entries = await store.of_run(tx, execution.run_id)
        hands = Hands(tx, workspace)
        attempt = await _attempt(hands, entries, execution.id, Why.FAILURE)
        pen = Pen(hands, execution.id, attempt, entries)
        return [
            await pen.write(index, _wish(workspace, patch)) for index, patch in enumerate(wanted)
        ]


async def _attempt(hands: Hands, entries: Sequence[Entry], execution_id: str, why: Why) -> int:
    """Take back what an older attempt left; return the number of the attempt to go on with."""
    if number := rules.open_attempt(entries, execution_id):
        return number
    await hands.take_back(entries, why)
    return rules.newest_attempt(entries) + 1


def _wish(workspace: Workspace, patch: Patch) -> Wish:
    return Wish(
        path=workspace.place(patch.target_path),
        postimage=patch.postimage,
        diff_hash=rules.text_hash(patch.diff),
    )


async def _undone(tx: Tx, workspace: Workspace, execution: Execution, error: str) -> str:
    run_id = execution.run_id
    if not await store.are_any(tx, run_id):
        return error
    async with store.alone(tx, run_id):
        if not await store.owns(tx, execution.id):
            return error
        try:
            entries = await store.of_run(tx, run_id)
            await Hands(tx, workspace).take_back(entries, Why.FAILURE)
        except RunFailed as why:
            return rules.rollback_failed(why, error)
    return error


async def _compensate_run(tx: Tx, workspace: Workspace, run_id: str) -> int:
    async with store.alone(tx, run_id):
        if not await store.is_canceled(tx, run_id):
            return 0
        try:
            entries = await store.of_run(tx, run_id)
            return await Hands(tx, workspace).take_back(entries, Why.CANCEL)
        except RunFailed as why:
            said = rules.rollback_failed(why, CANCELED)
            await store.say(tx, run_id, said)
            raise RunFailed(said) from why


async def _reapply_patches(tx: Tx, workspace: Workspace, execution: Execution) -> None:
    run_id = execution.run_id
    if not await store.are_any(tx, run_id):
        return
    async with store.alone(tx, run_id):
        entries = await store.of_run(tx, run_id)
        if not rules.was_compensated(entries) or not await store.owns(tx, execution.id):
            return
        hands = Hands(tx, workspace)
        attempt = await _attempt(hands, entries, execution.id, Why.CANCEL)
        pen = Pen(hands, execution.id, attempt, entries)
        for entry in rules.latest(entries):
            wish = Wish(
                path=workspace.place(entry.target_path),
                postimage=await store.postimage(tx, entry),
                diff_hash=entry.diff_hash,
            )
            await pen.write(entry.patch_index, wish)
