"""Rows of patches: where workers may die over them, and what their times say."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from pytest_spec11.oracles.sql import Row

NO = "Plan approval failed: no"
# Where a worker may die over patches alone.
WRITING = ("worker.patch.begun", "worker.patch.written")
TAKING_BACK = ("worker.TakeBack.before", "worker.patch.restored", "worker.TakeBack.after")


def column(rows: list[Row], name: str) -> list[Any]:
    """One column of the rows."""
    return [row[name] for row in rows]


def attempts(rows: list[Row]) -> list[tuple[int, int, str | None]]:
    """Index, attempt and why it was taken back, of each row."""
    return [(row["patch_index"], row["attempt"], row["rolled_back_for"]) for row in rows]


def chronological(rows: list[Row]) -> bool:
    """Whether the times of one attempt that was taken back are in order, within and across rows.

    What was written first was written before the next, and is taken back after it.
    """
    applied, back = column(rows, "applied_at"), column(rows, "rolled_back_at")
    within = all(row["created_at"] <= row["applied_at"] <= row["rolled_back_at"] for row in rows)
    return within and all(a < b for a, b in [*pairwise(applied), *pairwise(reversed(back))])
