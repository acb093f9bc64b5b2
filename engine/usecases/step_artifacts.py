"""The artifacts of a step, each with the digest of the bytes that the API serves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from engine.core import artifacts as rules
from engine.core.canon import Json
from engine.store.steps import Left

LAST: Final = 999  # the index of a single artifact


@dataclass(frozen=True, slots=True)
class Made:
    """One result of a step: kind, name and content."""

    kind: str
    name: str
    inline: Json


NOTHING: Final = Made("none", "none", {"text": "none"})


def artifacts(run_id: str, step_id: str, made: Sequence[Made], task_key: str = "") -> list[Left]:
    """``made`` as artifacts in its order; the sentinel if the step made nothing."""
    if not made:
        return [one(run_id, step_id, NOTHING, task_key, LAST)]
    return [one(run_id, step_id, each, task_key, index) for index, each in enumerate(made)]


def one(run_id: str, step_id: str, made: Made, task_key: str, index: int) -> Left:
    """``made`` as the artifact at ``index``."""
    return Left(
        idx=index,
        kind=made.kind,
        uri=rules.uri(run_id, step_id, task_key, made.name),
        inline=made.inline,
        sha256=sha256(rules.content(made.kind, made.inline)).hexdigest(),
    )
