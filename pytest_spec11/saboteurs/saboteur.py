"""A saboteur: one fault outside of the target, and the number of its hits.

Each family overrides the methods where it acts; all other methods change nothing.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

from pytest_spec11.addresses import Address
from pytest_spec11.target import Process


class Saboteur:
    """A fault with an id such as ``http.ghost-write``; ``does`` says in one sentence what it does.

    ``expected`` holds, for each claim that it must kill, words of the reason for which that claim
    must turn red; ``"*"`` stands for all that are not named.
    """

    lasting: ClassVar[bool] = False
    """Whether its effect from before a test still holds while the test runs."""

    def __init__(self, id_: str, does: str, expected: Mapping[str, str] | None = None) -> None:
        self.id = id_
        self.does = does
        self.awake = True  # a fault that would disturb fixtures sleeps until the test
        self._expected = expected or {}
        self._hits = 0

    @property
    def twin(self) -> bool:
        """Whether it is the benign twin of its family: the same machinery, no fault."""
        return self.id.endswith(".none")

    def expected_reason(self, claim: str) -> str:
        """Words that the reason against the claim must contain; empty if none are known."""
        return self._expected.get(claim, self._expected.get("*", ""))

    def hit(self) -> None:
        """Count one more hit."""
        self._hits += 1

    def count_hits(self) -> int:
        """The number of hits of the fault, or of the twin's machinery, so far."""
        return self._hits

    def route(self, address: Address) -> Address:
        """Where the prover has to dial instead."""
        return address

    def process(self, process: Process) -> Process:
        """What is started in place of a process."""
        return process

    def allows_signal(self, process: str, signum: signal.Signals) -> bool:
        """Whether a signal reaches the process of that name."""
        return process != "" and signum != 0

    def allows_start(self, process: str) -> bool:
        """Whether the process of that name is started, now that it was asked for."""
        return process != ""

    def plant_in_database(self, dsn: str) -> None:
        """Act on a new database, given by a superuser's DSN, before anybody else uses it."""

    def leave_database(self, dsn: str) -> None:
        """That database is about to go."""

    def enter_directory(self, directory: Path) -> None:
        """A stack has a private directory."""

    def before_read(self, path: Path) -> None:
        """The prover is about to read a file."""

    def close(self) -> None:
        """End everything that it started."""


class ActiveSaboteurs:
    """The saboteurs of one run, in their order; without any, nothing changes."""

    def __init__(self, saboteurs: Iterable[Saboteur] = ()) -> None:
        self.saboteurs = tuple(saboteurs)

    def wake(self, *, up: bool) -> None:
        """Wake the saboteurs when a test itself begins; put them to sleep at its end."""
        for each in self.saboteurs:
            each.awake = up

    def count_hits(self) -> dict[str, int]:
        """The number of hits of each so far."""
        return {each.id: each.count_hits() for each in self.saboteurs}

    def route(self, address: Address) -> Address:
        """The address that the prover must use."""
        for each in self.saboteurs:
            address = each.route(address)
        return address

    def process(self, process: Process) -> Process:
        """What is started in place of a process."""
        for each in self.saboteurs:
            process = each.process(process)
        return process

    def allows_signal(self, process: str, signum: signal.Signals) -> bool:
        """Whether a signal reaches the process of that name."""
        heard = [
            each.allows_signal(process, signum) for each in self.saboteurs
        ]  # each of them is asked
        return all(heard)

    def allows_start(self, process: str) -> bool:
        """Whether the process of that name is started, now that it was asked for."""
        heard = [each.allows_start(process) for each in self.saboteurs]  # as above
        return all(heard)

    def plant_in_database(self, dsn: str) -> None:
        """A database is there, named by a superuser's DSN."""
        for each in self.saboteurs:
            each.plant_in_database(dsn)

    def leave_database(self, dsn: str) -> None:
        """That database is about to go."""
        for each in self.saboteurs:
            each.leave_database(dsn)

    def enter_directory(self, directory: Path) -> None:
        """A stack has a private directory."""
        for each in self.saboteurs:
            each.enter_directory(directory)

    def before_read(self, path: Path) -> None:
        """The prover is about to read a file."""
        for each in self.saboteurs:
            each.before_read(path)

    def close(self) -> None:
        """End everything that they started."""
        with ExitStack() as steps:
            for each in self.saboteurs:
                steps.callback(each.close)
