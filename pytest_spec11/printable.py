"""Text that is safe to print: nothing in it steers a terminal or forges a line."""

from __future__ import annotations

import unicodedata
from typing import IO, Any, Final

_STEERING: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
_LINES: Final = frozenset("\n\t")


def escape_controls(text: str, kept: frozenset[str] = frozenset()) -> str:
    """``text`` with each control character but those of ``kept`` as its escape."""
    if text.isprintable():
        return text
    return "".join(
        each if each in kept or unicodedata.category(each) not in _STEERING else _escape(each)
        for each in text
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class SafeOutput:
    """A stream of text that hands on lines and tabs, and each other control character escaped."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write ``text``; return how many characters of it were written."""
        self._stream.write(escape_controls(text, _LINES))
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        """Everything else, as the stream has it."""
        return getattr(self._stream, name)
