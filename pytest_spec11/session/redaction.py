"""Redaction: secrets of the target are hidden before anything is hashed; no digest covers them.

It hides passwords in all connection strings and URLs, and every value that the target's environment
has under a name that looks secret. It hides them in facts and in bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pytest_spec11.oracles.witness import HIDDEN, is_secret, without_password
from pytest_spec11.target import Target

_SHORTEST: Final = 6  # a shorter value would also be hidden in places where it is not a secret
_IN_DSN: Final = re.compile(
    r"://[^:/@\s]*:([^@/\s]+)@|\bpassword\s*=\s*('[^']*'|\S+)", re.IGNORECASE
)


class Redaction:
    """Knows the secrets of one target."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values = sorted({each for each in values if len(each) >= _SHORTEST}, key=len)[::-1]

    @classmethod
    def of(cls, target: Target) -> Redaction:
        """All secrets that the description of a target holds."""
        return cls(_secrets(target))

    def text(self, text: str) -> str:
        """``text`` without the secrets."""
        for each in self._values:
            text = text.replace(each, HIDDEN)
        return without_password(text)

    def facts(self, value: Any) -> Any:
        """A JSON value of any shape without the secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.facts(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.facts(each) for each in value]
        return value

    def content(self, body: bytes) -> bytes:
        """Bytes without the secrets. Bytes that are not UTF-8 text lose only the known values."""
        for each in self._values:
            body = body.replace(each.encode(), HIDDEN.encode())
        if b"://" not in body and b"password" not in body.lower():
            return body
        try:
            return without_password(body.decode()).encode()
        except UnicodeDecodeError:
            return body


def _secrets(target: Target) -> Iterator[str]:
    processes = (*target.services, *target.processes)
    pairs = [pair for each in processes for pair in each.env.items()]
    pairs += [("", text) for text in (target.app_dsn, target.sys_dsn, target.admin_dsn) if text]
    for name, value in pairs:
        if name and is_secret(name):
            yield value
        for hit in _IN_DSN.finditer(value):
            yield (hit[1] or hit[2]).strip("'")
