"""Changes the files of a run. Rows record each change before and after it is made."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from engine import crash_points
from engine.core import patches as rules
from engine.core.patches import APPLY, ROLL_BACK, Entry, Move, NotAllowed, Why, Wish
from engine.ports.workspace import Workspace
from engine.store import Tx
from engine.store import patches as store
from engine.store.patches import Beginning

STEP: Final = "ApplyPatchST"


@dataclass(frozen=True, slots=True)
class Hands:
    """Changes files of the one run whose lock the session of ``tx`` holds."""

    tx: Tx
    workspace: Workspace

    async def write(self, entry: Entry, postimage: str) -> None:
        """Write the postimage to the file, then mark the row. Raises RunFailed."""
        found = await asyncio.to_thread(self.workspace.read, entry.target_path)
        if rules.move(APPLY, entry, found.content) is Move.WRITE:
            await self._put(entry, postimage.encode())
        crash_points.pass_point("worker.patch.written")
        await store.mark_applied(self.tx, entry)

    async def take_back(self, entries: Sequence[Entry], why: Why) -> int:
        """Take back all written ``entries``, the last written first; return their number.

        Raises RunFailed at the first file that differs from what was written; it stays as it is.
        """
        standing = rules.standing(entries)
        if standing:
            await store.give_up(self.tx, standing[0].run_id, why)
        return sum([await self._restore(entry) for entry in standing])

    async def _restore(self, entry: Entry) -> bool:
        """Restore file and row; return whether there was something to take back."""
        try:
            found = await asyncio.to_thread(self.workspace.read, entry.target_path)
        except NotAllowed:
            if entry.applied_at is not None:
                raise
            return False  # it was refused before it was written
        was_written = not rules.was_never_written(entry, found.content)
        if was_written:
            move = rules.move(ROLL_BACK, entry, found.content)
            await store.mark_applied(self.tx, entry)
            if move is Move.WRITE:
                await self._put_back(entry)
        await asyncio.to_thread(self.workspace.tidy, entry.target_path, entry.key, entry.dirs_made)
        if was_written:
            crash_points.pass_point("worker.patch.restored")
            await store.mark_rolled_back(self.tx, entry)
        return was_written

    async def _put_back(self, entry: Entry) -> None:
        content = await store.preimage(self.tx, entry)
        if content is None:
            await store.require_alone(self.tx)
            await asyncio.to_thread(self.workspace.delete, entry.target_path)
        else:
            await self._put(entry, content)

    async def _put(self, entry: Entry, content: bytes) -> None:
        """Give the file this content. A file staged by a lost session never replaces it."""
        staged = await asyncio.to_thread(
            self.workspace.stage, entry.target_path, content, entry.key
        )
        try:
            await store.require_alone(self.tx)
            await asyncio.to_thread(staged.commit)
        finally:
            await asyncio.to_thread(staged.drop)


class Pen:
    """Writes one attempt of one execution; it continues entries that were begun before."""

    def __init__(
        self, hands: Hands, execution_id: str, attempt: int, entries: Sequence[Entry]
    ) -> None:
        self._hands = hands
        self._execution_id = execution_id
        self._attempt = attempt
        self._begun = {each.patch_index: each for each in entries if each.attempt == attempt}

    async def write(self, index: int, wish: Wish) -> Entry:
        """Write the patch at ``index``; return its entry. Raises RunFailed, RunCanceled."""
        entry = self._begun.get(index) or await self._begin(index, wish)
        rules.require_same(entry, wish)
        if entry.applied_at is None:
            await self._hands.write(entry, wish.postimage)
        return entry

    async def _begin(self, index: int, wish: Wish) -> Entry:
        found = await asyncio.to_thread(self._hands.workspace.read, wish.path)
        beginning = Beginning(
            step_id=STEP,
            patch_index=index,
            attempt=self._attempt,
            execution_id=self._execution_id,
            target_path=wish.path,
            diff_hash=wish.diff_hash,
            preimage_content=found.content,
            postimage_content=wish.postimage,
            dirs_made=found.missing,
        )
        entry = await store.begin(self._hands.tx, beginning)
        crash_points.pass_point("worker.patch.begun")
        return entry
