"""What a test asks for: oracles on the shared stack, private stacks, provocations."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Protocol

import pytest

from pytest_spec11.errors import NotProvable
from pytest_spec11.run import Run
from pytest_spec11.session.proof_session import ProofSession
from pytest_spec11.session.recorder import Recorder

if TYPE_CHECKING:  # they import psycopg and httpx, which only a test that uses an oracle may load
    from pytest_spec11.oracles.browser import Browser
    from pytest_spec11.oracles.files import Files
    from pytest_spec11.oracles.http import Api
    from pytest_spec11.oracles.proc import Proc
    from pytest_spec11.oracles.sql import Sql
    from pytest_spec11.stacks import Stacks
    from pytest_spec11.target import Target


class Provokes(Protocol):
    """Declares that a test provokes a failure on purpose (D30): ``provokes(workflow_id, why)``."""

    def __call__(self, workflow_id: str, why: str) -> None:
        """Declare it: the triggers then do not count what happens to this workflow."""
        ...


@pytest.fixture(scope="session")
def spec11_session(pytestconfig: pytest.Config) -> ProofSession:
    """The plugin's state in this process."""
    found = pytestconfig.pluginmanager.getplugin("spec11-session")
    if not isinstance(found, ProofSession):
        raise NotProvable("the plugin spec11 is not active")
    return found


@pytest.fixture(scope="session")
def spec11_run(spec11_session: ProofSession) -> Run:
    """The run. Its id is unique, and the same in all pytest processes of the run."""
    return spec11_session.runtime.run


@pytest.fixture(scope="session")
def spec11_target(spec11_session: ProofSession) -> Target:
    """The description of the system under test."""
    return spec11_session.runtime.target


@pytest.fixture(scope="session")
def spec11_recorder(spec11_session: ProofSession) -> Recorder:
    """The open journal. Raises NotProvable when no test of the run has a claim marker."""
    if spec11_session.recorder is None:
        raise NotProvable("no selected test is marked with a scenario: oracles have no journal")
    return spec11_session.recorder


@pytest.fixture
def api(spec11_session: ProofSession, spec11_recorder: Recorder) -> Api:
    """Oracle of the HTTP API of the shared stack; threads may share it."""
    return spec11_session.access.api(spec11_recorder.witness())


@pytest.fixture
def app_sql(spec11_session: ProofSession, spec11_recorder: Recorder) -> Sql:
    """Oracle of schema app; the database refuses writes over this connection."""
    return spec11_session.access.app_sql(spec11_recorder.witness())


@pytest.fixture
def sys_sql(spec11_session: ProofSession, spec11_recorder: Recorder) -> Sql:
    """Oracle of schema dbos; the database refuses writes over this connection."""
    return spec11_session.access.sys_sql(spec11_recorder.witness())


@pytest.fixture
def proc(spec11_session: ProofSession, spec11_recorder: Recorder) -> Proc:
    """Oracle of the shared stack's processes, and of commands that it runs."""
    return spec11_session.access.proc(spec11_recorder.witness())


@pytest.fixture
def browser(
    spec11_session: ProofSession, spec11_recorder: Recorder
) -> Generator[Browser, None, None]:
    """Oracle of the pages of the shared stack, in a real Chromium."""
    opened = spec11_session.access.browser(spec11_recorder.witness())
    yield opened
    opened.close()


@pytest.fixture
def files(spec11_session: ProofSession, spec11_recorder: Recorder) -> Files:
    """Oracle of bytes on disk."""
    from pytest_spec11.oracles.files import Files  # noqa: PLC0415  # see TYPE_CHECKING

    return Files(spec11_recorder.witness(), spec11_session.runtime.active_saboteurs)


@pytest.fixture(scope="session")
def stacks(spec11_session: ProofSession, spec11_recorder: Recorder) -> Stacks:
    """Starts private stacks, for tests that kill processes, plant faults or change settings."""
    return spec11_session.runtime.stacks(spec11_recorder.witness)


@pytest.fixture
def provokes(spec11_recorder: Recorder) -> Provokes:
    """Declares that this test provokes a failure of a workflow on purpose (D30)."""
    return spec11_recorder.record_provocation
