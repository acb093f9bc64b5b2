"""The witness, to which oracles report observations, and the rules for secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final, Protocol

HIDDEN: Final = "[hidden]"
_SECRET = re.compile(
    r"authorization|cookie|token|secret|passw|api.?key|signature|credential", re.IGNORECASE
)
_IN_DSN = re.compile(r"(://[^:/@\s]*):[^@/\s]*@|\b(password\s*=\s*)('[^']*'|\S+)", re.IGNORECASE)


class RecordObservation(Protocol):
    """Keeps one observation of the running test: source, what was read, facts, bytes."""

    def __call__(
        self,
        source: str,
        ref: str,
        facts: Mapping[str, Any],
        *,
        body: bytes | None = None,
        empty: bool = False,
    ) -> None:
        """Write one observation to the journal. ``empty``: the oracle looked and found nothing."""
        ...


class Witness(RecordObservation, Protocol):
    """Keeps observations, and hands each reading on to the test."""

    def pass_on(self, source: str, ref: str, reading: Any) -> Any:
        """What the test gets for what was read; an oracle asks once a reading, before it records.

        A controlled run may change it. The reading is JSON, bytes, or what a driver makes of it.
        """
        ...


def fingerprint(data: bytes) -> str:
    """sha256 of ``data``: 64 hex digits."""
    return sha256(data).hexdigest()


def is_secret(name: str) -> bool:
    """Whether a header, parameter or variable of that name holds a secret."""
    return _SECRET.search(name) is not None


def hide_secrets(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """``pairs`` as a dict, with hidden values for names that look secret."""
    return {name: HIDDEN if is_secret(name) else without_password(value) for name, value in pairs}


def without_password(text: str) -> str:
    """``text`` with the password hidden in every connection string and URL."""
    return _IN_DSN.sub(lambda hit: f"{hit[1]}:{HIDDEN}@" if hit[1] else f"{hit[2]}{HIDDEN}", text)
