"""Rows of ``app.patch_history``, and the lock under which the files of one run change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from psycopg.rows import class_row, scalar_row

from engine.core.patches import Entry, Why, content_hash, text_hash
from engine.errors import RunFailed
from engine.store import Tx, sql, steps

SQL: Final = sql.load("patches")
LOCK_CLASS: Final = 0x5EC3


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """A patch to write, with the present content of its file."""

    step_id: str
    patch_index: int
    attempt: int
    execution_id: str
    target_path: str
    diff_hash: str
    preimage_content: bytes | None
    postimage_content: str
    dirs_made: int


@asynccontextmanager
async def alone(tx: Tx, run_id: str) -> AsyncIterator[None]:
    """Hold the lock of the run's files on the session of ``tx``: nobody else changes them."""
    values: dict[str, object] = {"class": LOCK_CLASS, "run_id": run_id}
    await tx.execute(SQL["lock"], values)
    try:
        yield
    finally:
        await tx.execute(SQL["unlock"], values)


async def require_alone(tx: Tx) -> None:
    """Check that the lock is held. Raises OperationalError if the session ended: others may act."""
    await tx.execute(SQL["require_alone"])


async def are_any(tx: Tx, run_id: str) -> bool:
    """Whether the run ever began to write a patch."""
    return bool(await _scalar(tx, "are_any", run_id=run_id))


async def of_run(tx: Tx, run_id: str, step_id: str | None = None) -> list[Entry]:
    """The run's history without contents, by attempt and index."""
    async with tx.cursor(row_factory=class_row(Entry)) as rows:
        values = {"run_id": run_id, "step_id": step_id}
        return await (await rows.execute(SQL["of_run"], values)).fetchall()


async def preimage(tx: Tx, entry: Entry) -> bytes | None:
    """The old content of the file; None if it did not exist."""
    found: bytes | None = await _scalar(tx, "preimage", **_key(entry))
    return found


async def postimage(tx: Tx, entry: Entry) -> str:
    """The new content of the file."""
    return str(await _scalar(tx, "postimage", **_key(entry)))


async def owns(tx: Tx, execution_id: str) -> bool:
    """Whether the execution owns a run that has not ended."""
    return bool(await _scalar(tx, "owns", execution_id=execution_id))


async def is_canceled(tx: Tx, run_id: str) -> bool:
    """Whether the run is canceled now."""
    return bool(await _scalar(tx, "is_canceled", run_id=run_id))


async def begin(tx: Tx, patch: Beginning) -> Entry:
    """Record the patch before its file is touched.

    Raises RunCanceled, and RunFailed if the execution does not own the run any more.
    """
    values = {
        **asdict(patch),
        "preimage_hash": content_hash(patch.preimage_content),
        "postimage_hash": text_hash(patch.postimage_content),
    }
    async with tx.cursor(row_factory=class_row(Entry)) as rows:
        entry = await (await rows.execute(SQL["begin"], values)).fetchone()
    if entry is None:
        subject = await steps.subject(tx, patch.execution_id)
        raise RunFailed(f"run {subject.run_id} takes no patch from {patch.execution_id}")
    return entry


async def mark_applied(tx: Tx, entry: Entry) -> None:
    """Mark that the file has its new content."""
    await tx.execute(SQL["mark_applied"], _key(entry))


async def give_up(tx: Tx, run_id: str, why: Why) -> None:
    """Mark everything that the run wrote as to be taken back, unless it is marked already."""
    await tx.execute(SQL["give_up"], {"run_id": run_id, "why": why})


async def mark_rolled_back(tx: Tx, entry: Entry) -> None:
    """Mark that the file has its old content again."""
    await tx.execute(SQL["mark_rolled_back"], _key(entry))


async def say(tx: Tx, run_id: str, error: str) -> None:
    """Write to the canceled run what could not be taken back."""
    await tx.execute(SQL["say"], {"run_id": run_id, "error": error})


def _key(entry: Entry) -> dict[str, Any]:
    names = ("run_id", "step_id", "patch_index", "attempt")
    return {name: getattr(entry, name) for name in names}


async def _scalar(tx: Tx, name: str, **values: object) -> Any:
    async with tx.cursor(row_factory=scalar_row) as rows:
        return await (await rows.execute(SQL[name], values)).fetchone()
