"""Faults of the database: which of them become an engine error, and how to describe any."""

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
STATEMENTS: Final = "42"  # states of this class concern a statement, not its values


@contextmanager
def translate_faults() -> Iterator[None]:
    """Turn a violated constraint into its engine error; an unknown one stays a bug, so a 500."""
    try:
        yield
    except errors.IntegrityError as error:
        known = BY_CONSTRAINT.get(error.diag.constraint_name or "")
        if known is None:
            raise
        kind, code, message = known
        raise kind(message, code=code) from error


def describe_failure(error: BaseException) -> str:
    """``error`` for whoever reads the run: its own text, but no statement of the database.

    The durable engine raises errors that quote the statement and hold the driver's error.
    """
    cause = getattr(error, "orig", None)
    if isinstance(cause, BaseException):
        return f"the database failed: {describe_error(cause)}"
    return str(error) or type(error).__name__


def describe_error(error: BaseException) -> str:
    """``error`` for a log: its type, and its text only if it cannot quote a row or a request.

    These are the texts of the system and the server about connections and our own statements.
    """
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    match error:
        case errors.Error(sqlstate=str(state)) if state.startswith(STATEMENTS):
            return f"{name} [{state}]: {error.diag.message_primary}"
        case errors.Error(sqlstate=str(state)) if not isinstance(error, errors.OperationalError):
            return f"{name} [{state}] {error.diag.constraint_name or ''}".rstrip()
        case errors.OperationalError() | errors.InterfaceError() | OSError():
            return f"{name}: {error}"
        case _:
            return name
