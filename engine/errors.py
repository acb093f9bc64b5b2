"""The error lattice: every deliberate failure is one class here, with one HTTP status (D0).

EngineError
├── Malformed           400  cannot be read, or breaks its contract; ``details`` name every fault
│   └── PolicyViolation 400  readable, but a queue, recipe or budget rule forbids it
├── Unauthorized        401  nothing proves who asks; only where tokens or secrets are set (D36)
├── Forbidden           403  who asks is known, and may not; likewise
├── Missing             404  the thing named does not exist
├── Conflict            409
│   ├── Drift               same identity, different content; ``drift`` names every field
│   └── IllegalState        exists, but may not move there
├── RunFailed           a run ends ERROR with this message; never over HTTP
│   └── AgentsUnavailable   the agents' server did not do what it was asked; likewise
├── RunCanceled         an execution meets the cancellation of its run; never over HTTP
├── Misconfigured       exit 2, never over HTTP: the environment is contradictory or unreadable
├── InUse               exit 3, never over HTTP: a directory, port or database that others use
└── Unreachable         exit 5, never over HTTP: no API, or no database, where it is looked for
    └── Unanswered          asked, and no answer came: whether it was done is not known

Anything else that escapes is a bug, and a bare 500.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar, Self


def count_faults(faults: int) -> str:
    """How many faults an input has, in words: ``1 fault``, ``2 faults``."""
    return "1 fault" if faults == 1 else f"{faults} faults"


class EngineError(Exception):
    """Base of all deliberate failures. ``facts`` go to the client: no secrets in them."""

    status: ClassVar[HTTPStatus]
    code: ClassVar[str | None] = None

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.facts = facts


class Malformed(EngineError):
    """The request cannot be read, or breaks its contract."""

    status = HTTPStatus.BAD_REQUEST


class PolicyViolation(Malformed):
    """The request is readable, but a queue, recipe or budget rule forbids it."""

    code = "queue_policy_violation"


class Unauthorized(EngineError):
    """Nothing proves who asks (D36)."""

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthorized"


class Forbidden(EngineError):
    """Who asks is known, and may not do this (D36)."""

    status = HTTPStatus.FORBIDDEN
    code = "forbidden"


class Missing(EngineError):
    """The thing named does not exist."""

    status = HTTPStatus.NOT_FOUND


class Conflict(EngineError):
    """The request contradicts what is stored."""

    status = HTTPStatus.CONFLICT


class Drift(Conflict):
    """Same identity, different content. ``drift`` in the facts names each field (D3)."""

    code = "run_identity_conflict"


class IllegalState(Conflict):
    """The thing exists but may not move to the state asked for."""


class RunFailed(EngineError):
    """A run cannot go on; its row and its workflow end with this message."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR


class AgentsUnavailable(RunFailed):
    """The agents' server did not do what it was asked (D34)."""

    @classmethod
    def of(cls, operation: str, why: str) -> Self:
        """The failure of one operation, in the words that it is known by."""
        return cls(f"oc_live_unavailable:{operation}:{why}")


class RunCanceled(EngineError):
    """The run was canceled: whatever its execution was doing leaves no trace."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR


class Misconfigured(EngineError):
    """The environment is contradictory or unreadable; the message names every variable at fault."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR


class InUse(EngineError):
    """Somebody else runs on the directory, port or database that is wanted."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR


class Unreachable(EngineError):
    """Nobody serves the API, or the database, where it is looked for: nothing was asked."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR


class Unanswered(Unreachable):
    """The API was asked, and gave no answer: it may have done what was asked, or not."""
