"""A saboteur: one fault from outside of the target, and how often it took effect.

A family overrides the places where it stands; everywhere else all stays as it was.
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
    """Whether what it did before a test began still holds while the test runs."""

    def __init__(self, id_: str, does: str, expected: Mapping[str, str] | None = None) -> None:
        self.id = id_
        self.does = does
        self.awake = True  # a fault that would spoil what a test stands on sleeps until it begins
        self._expected = expected or {}
        self._hits = 0

    @property
    def twin(self) -> bool:
        """Whether it is the benign one of its family: the same machinery, no fault."""
        return self.id.endswith(".none")

    def expected_reason(self, claim: str) -> str:
        """Words that the reason against the claim must hold; empty when none are known."""
        return self._expected.get(claim, self._expected.get("*", ""))

    def hit(self) -> None:
        """The fault took effect once more."""
        self._hits += 1

    def count_hits(self) -> int:
        """How often the fault, or the twin's machinery, took effect so far."""
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
        """A database is there, named by a superuser's DSN; nobody else knows it yet."""

    def leave_database(self, dsn: str) -> None:
        """That database is about to go."""

    def enter_directory(self, directory: Path) -> None:
        """A stack has a private directory."""

    def before_read(self, path: Path) -> None:
        """The prover is about to read a file."""

    def close(self) -> None:
        """Nothing that it started is left."""


class ActiveSaboteurs:
    """The saboteurs of one run, one behind the other; without any, all is as it was."""

    def __init__(self, saboteurs: Iterable[Saboteur] = ()) -> None:
        self.saboteurs = tuple(saboteurs)

    def wake(self, *, up: bool) -> None:
        """A test itself has begun, or is over."""
        for each in self.saboteurs:
            each.awake = up

    def count_hits(self) -> dict[str, int]:
        """How often each took effect so far."""
        return {each.id: each.count_hits() for each in self.saboteurs}

    def route(self, address: Address) -> Address:
        """Where the prover has to dial."""
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
        """Nothing that they started is left."""
        with ExitStack() as steps:
            for each in self.saboteurs:
                steps.callback(each.close)
