"""The one place where a refused constraint becomes an engine error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from psycopg import errors

from engine.errors import Drift, EngineError, IllegalState, Malformed

BY_CONSTRAINT: Final[Mapping[str, tuple[type[EngineError], str, str]]] = {
    "human_interactions_once": (Drift, "dedupe_conflict", "dedupeKey conflict"),
    "human_interactions_one_answer": (
        IllegalState,
        "gate_already_answered",
        "gate already answered",
    ),
    "human_interactions_dedupe_check": (
        Malformed,
        "invalid_request",
        "dedupeKey must be 1..256 characters",
    ),
    "human_interactions_origin_check": (Malformed, "invalid_request", "unknown origin"),
}


@contextmanager
def translated() -> Iterator[None]:
    """A refused constraint leaves as its engine error; an unknown one stays a bug, hence a 500."""
    try:
        yield
    except errors.IntegrityError as error:
        known = BY_CONSTRAINT.get(error.diag.constraint_name or "")
        if known is None:
            raise
        kind, code, message = known
        raise kind(message, code=code) from error
