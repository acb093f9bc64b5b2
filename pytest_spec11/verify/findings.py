"""What a verification found: each with the code, the place and the words for it."""

from __future__ import annotations

from dataclasses import dataclass

_MOST = 1000  # beyond this nobody reads on, and a hostile bundle must not fill the memory


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was."""

    code: str
    where: str
    text: str


class Findings:
    """All of them, in the order in which they were met."""

    def __init__(self) -> None:
        self.all: list[Finding] = []

    def add(self, code: str, where: str, text: str) -> None:
        """One more, as long as anybody would read it."""
        if len(self.all) < _MOST:
            self.all.append(Finding(code, where, text))

    def has(self, *codes: str) -> bool:
        """Whether any of these codes was found."""
        return any(each.code in codes for each in self.all)
