"""What a GO stands on: claims that were never red, what the tree asks less, plugins of others."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_spec11.judge.kills import list_never_red
from pytest_spec11.verdict.gate import Judged


def describe_basis(judged: Judged) -> str:
    """One sentence in three parts. Raises CannotJudge when the merge base cannot be read."""
    never = list_never_red(judged.case, judged.verdict.needed)
    return "; ".join(
        (
            f"never seen red: {_join(never)}",
            f"weaker than the merge base: {_join(judged.weakenings.sentences)}",
            f"plugins besides pytest: {_join(sorted(judged.bundle.foreign.plugins))}",
        )
    )


def _join(words: Iterable[str]) -> str:
    return ", ".join(words) or "none"
