"""Fixtures of the suite: what makes a test's starts its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_spec11.errors import NotProvable
from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.browser import find_program
from pytest_spec11.run import Run
from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.target import Target
from scenarios.support.crowds import backlog_log
from scenarios.support.crowds.backlog_log import Backlogs
from scenarios.support.faults.holds import PATIENT
from scenarios.support.faults.kill_log import Ledger, kills, table
from scenarios.support.runs.run_with_history import Saga, make_history
from scenarios.support.runs.workshop import Workshop, workshop

if TYPE_CHECKING:  # it brings all judges, which S15 alone asks
    from scenarios.support.release.judges import Court
    from scenarios.support.release.throwaway_release import ThrowawayRelease

HOSTED = "test_s14_hosted.py"
PAGES = "_boards.py"
NO_PARTITIONS = {"INTENT_QUEUE_PARTITION": "false", "SBX_QUEUE_PARTITION": "false"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The credentials of the live seams, which only scope live-smoke asks for."""
    group = parser.getgroup("scenarios")
    group.addoption("--hosted-oc-url", default="", help="OpenCode server with a hosted model")
    group.addoption("--hosted-e2b-key-file", default="", help="file that holds an E2B API key")
    group.addoption("--keep-wire", type=Path, help="write what the OpenCode server said to FILE")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """At other scopes the hosted seams are not claimed: nothing to run, nothing to skip."""
    scope = config.getoption("spec11_scope") or config.getini("spec11_scope")
    if collection_path.name == HOSTED and scope != "live-smoke":
        return True
    return True if collection_path.name.endswith(PAGES) and not has_browser() else None


def pytest_report_header() -> str | None:
    """Without a browser the tests of pages are not there, and their claims stay unproven."""
    if has_browser():
        return None
    return "no Chromium: no test of a page is collected; as root: apt-get install chromium"


def has_browser() -> bool:
    """Whether a Chromium is on the path."""
    try:
        return bool(find_program())
    except NotProvable:
        return False


@pytest.fixture
def unique_goal(request: pytest.FixtureRequest, spec11_run: Run) -> str:
    """A goal that no other test of this run and no other run ever starts."""
    return f"{request.node.nodeid} of {spec11_run.id}"


@pytest.fixture(scope="session")
def kept_wire(pytestconfig: pytest.Config) -> Path | None:
    """Where a recording of the OpenCode server's wire is to be kept; None: nowhere."""
    path: Path | None = pytestconfig.getoption("keep_wire")
    return path


@pytest.fixture(scope="session")
def shared_folder(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all xdist workers of this run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if hasattr(pytestconfig, "workerinput") else own


@pytest.fixture(scope="module")
def shop(stacks: Stacks) -> Iterator[Workshop]:
    """A private stack with a workspace for patches; each test has plans and files of its own."""
    with workshop(stacks) as made:
        yield made


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
    with stacks.start(only=("api",), extra={"twin": twin}, env=PATIENT) as stack:
        stack.spawn(spec11_target.process("worker"))
        yield stack


@pytest.fixture(scope="session")
def idle(stacks: Stacks) -> Iterator[Stack]:
    """A private stack without a worker: its runs stay where a test puts them."""
    with stacks.start(only=("api",)) as stack:
        yield stack


@pytest.fixture(scope="session")
def court(
    stacks: Stacks,
    app_version: str,
    shared_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Court]:
    """A throwaway tree with all that its release asks for, and an engine that looks at it."""
    from scenarios.support.release.judges import Court, point  # noqa: PLC0415  # see TYPE_CHECKING
    from scenarios.support.release.throwaway_release import share_release  # noqa: PLC0415  # see TYPE_CHECKING

    with stacks.start(only=()) as stack:
        base = share_release(stack.proc, shared_folder / "rehearsal", app_version)
        made = Court(base, stack, tmp_path_factory.mktemp("board") / "shown")
        point(made.shown, base.release)
        stack.begin(made.board())
        yield made


@pytest.fixture(scope="module")
def live(court: Court, stacks: Stacks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Court]:
    """The same release before an engine whose database is for planting."""
    from scenarios.support.release.judges import Court, point  # noqa: PLC0415  # see TYPE_CHECKING

    folder = tmp_path_factory.mktemp("live")
    with stacks.start(only=()) as stack:
        made = Court(court.base, stack, folder / "shown")
        point(made.shown, court.base.release)
        stack.begin(made.board())
        yield made


@pytest.fixture
def case(court: Court, tmp_path: Path) -> ThrowawayRelease:
    """A copy of the release that is GO, to be spoilt."""
    return court.base.copy_to(tmp_path)


@pytest.fixture
def own(court: Court, tmp_path: Path) -> ThrowawayRelease:
    """A copy with a tree of its own, to be changed."""
    return court.base.copy_to(tmp_path, tree=True)


@pytest.fixture(scope="session")
def past(stacks: Stacks) -> Iterator[Saga]:
    """A private stack with runs that have a past; nothing moves there any more."""
    with make_history(stacks) as saga:
        yield saga


@pytest.fixture
def saga(past: Saga, provokes: Provokes) -> Saga:
    """The same for one test, with what was provoked there declared."""
    provokes(past.long, "its plan is rejected once")
    provokes(past.silent, "nobody answers at its gate")
    return past


@pytest.fixture
def ledger(record_property: Callable[[str, object], None]) -> Ledger:
    """Where a test says which process it killed, and over what."""
    return Ledger(record_property)


@pytest.fixture(name="backlogs")
def kept_backlogs(record_property: Callable[[str, object], None]) -> Backlogs:
    """Where a test says how long a start lay behind the backlog of others."""
    return Backlogs(record_property)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Every place where a process died, and every flood that one start met."""
    reports = [each for kind in ("passed", "failed") for each in terminalreporter.getreports(kind)]
    if struck := kills(reports):
        terminalreporter.section("kills")
        for line in table(struck):
            terminalreporter.write_line(line)
    if floods := backlog_log.table(reports):
        terminalreporter.section("backlogs")
        for line in floods:
            terminalreporter.write_line(line)
