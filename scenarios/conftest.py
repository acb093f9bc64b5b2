"""Fixtures of the suite: what makes a test's starts its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pytest_spec11.run import Run
from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.target import Target
from scenarios.judges import Court, point
from scenarios.ledger import Ledger, kills, table
from scenarios.rehearsal import released

NO_PARTITIONS = {"INTENT_QUEUE_PARTITION": "false", "SBX_QUEUE_PARTITION": "false"}


@pytest.fixture
def unique_goal(request: pytest.FixtureRequest, spec11_run: Run) -> str:
    """A goal that no other test of this run and no other run ever starts."""
    return f"{request.node.nodeid} of {spec11_run.id}"


@pytest.fixture(scope="session")
def app_version(spec11_target: Target) -> str:
    """The version that both processes of the shared stack are configured to be."""
    return spec11_target.app_version


@pytest.fixture(scope="session")
def lab(stacks: Stacks, spec11_target: Target) -> Iterator[Stack]:
    """A private stack for tests that plant, freeze or crowd; ``twin`` asks for no partition key.

    It is there when both api-shims answer; its worker comes up while the first tests run.
    """
    twin = spec11_target.process("api").using(NO_PARTITIONS)
    with stacks.start(only=("api",), extra={"twin": twin}) as stack:
        stack.spawn(spec11_target.process("worker"))
        yield stack


@pytest.fixture(scope="session")
def idle(stacks: Stacks) -> Iterator[Stack]:
    """A private stack without a worker: its runs stay where a test puts them."""
    with stacks.start(only=("api",)) as stack:
        yield stack


@pytest.fixture(scope="session")
def court(
    stacks: Stacks, app_version: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Court]:
    """A throwaway tree with all that its release asks for, and an engine that looks at it."""
    folder = tmp_path_factory.mktemp("rehearsal")
    with stacks.start(only=()) as stack:
        base = released(stack.proc, folder, app_version)
        made = Court(base, stack, folder / "shown")
        point(made.shown, base.release)
        stack.begin(made.board())
        yield made


@pytest.fixture
def ledger(record_property: Callable[[str, object], None]) -> Ledger:
    """Where a test says which process it killed, and over what."""
    return Ledger(record_property)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Every place where a process died, when one did."""
    reports = [each for kind in ("passed", "failed") for each in terminalreporter.getreports(kind)]
    if struck := kills(reports):
        terminalreporter.section("kills")
        for line in table(struck):
            terminalreporter.write_line(line)
