"""The outcome of a test, as a journal records it."""

from __future__ import annotations

from typing import Final, NamedTuple

BAD: Final = frozenset({"failed", "error"})


class Outcome(NamedTuple):
    """How one attempt of a test ended."""

    node: str
    journal: str  # the name of the journal that holds it
    run: str
    attempt: int
    word: str
    phases: tuple[str, ...]  # the outcome of each phase
    voids: tuple[str | None, ...]  # the code of each reason not to believe it
    claims: tuple[str, ...]
    message: str

    @property
    def has_bad_phase(self) -> bool:
        """Whether a phase failed or had an error."""
        return not BAD.isdisjoint(self.phases)

    @property
    def is_red(self) -> bool:
        """Whether it failed, had an error, or is void."""
        return self.word in BAD or self.has_bad_phase or bool(self.voids)
