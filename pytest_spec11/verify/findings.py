"""The findings of a verification, each with code, place and text."""

from __future__ import annotations

from dataclasses import dataclass

_MOST = 1000  # nobody reads more, and a hostile bundle must not fill the memory


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault."""

    code: str
    where: str
    text: str


class Findings:
    """All findings, in the order of their discovery."""

    def __init__(self) -> None:
        self.all: list[Finding] = []

    def add(self, code: str, where: str, text: str) -> None:
        """Add a finding, up to the limit."""
        if len(self.all) < _MOST:
            self.all.append(Finding(code, _escape_controls(where), _escape_controls(text)))

    def has(self, *codes: str) -> bool:
        """Whether any of these codes was found."""
        return any(each.code in codes for each in self.all)


def _escape_controls(text: str) -> str:
    """``text`` without characters that steer a terminal or forge a line."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )
