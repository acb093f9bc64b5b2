"""What a test asks for: oracles on the shared stack, private stacks, provocations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from pytest_spec11.errors import NotProvable
from pytest_spec11.run import Run
from pytest_spec11.session.proof_session import ProofSession
from pytest_spec11.session.recorder import Recorder

if TYPE_CHECKING:  # they bring psycopg and httpx, which only a test that looks may load
    from pytest_spec11.oracles.files import Files
    from pytest_spec11.oracles.http import Api
    from pytest_spec11.oracles.proc import Proc
    from pytest_spec11.oracles.sql import Sql
    from pytest_spec11.stacks import Stacks
    from pytest_spec11.target import Target


class Provokes(Protocol):
    """Declares a failure provoked on purpose (D30): ``provokes(workflow_id, why)``."""

    def __call__(self, workflow_id: str, why: str) -> None:
        """No trigger counts what happens to this workflow."""
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
    """The run: its id is like no other's, the same in all processes."""
    return spec11_session.runtime.run


@pytest.fixture(scope="session")
def spec11_target(spec11_session: ProofSession) -> Target:
    """The description of the system under test."""
    return spec11_session.runtime.target


@pytest.fixture(scope="session")
def spec11_recorder(spec11_session: ProofSession) -> Recorder:
    """The open journal. Raises NotProvable outside of marked tests' runs."""
    if spec11_session.recorder is None:
        raise NotProvable("no selected test is marked with a scenario: oracles have no journal")
    return spec11_session.recorder


@pytest.fixture
def api(spec11_session: ProofSession, spec11_recorder: Recorder) -> Api:
    """Witness of the HTTP API of the shared stack; safe for threads."""
    return spec11_session.access.api(spec11_recorder.witness())


@pytest.fixture
def app_sql(spec11_session: ProofSession, spec11_recorder: Recorder) -> Sql:
    """Witness of schema app; the server itself refuses writes from here."""
    return spec11_session.access.app_sql(spec11_recorder.witness())


@pytest.fixture
def sys_sql(spec11_session: ProofSession, spec11_recorder: Recorder) -> Sql:
    """Witness of schema dbos; the server itself refuses writes from here."""
    return spec11_session.access.sys_sql(spec11_recorder.witness())


@pytest.fixture
def proc(spec11_session: ProofSession, spec11_recorder: Recorder) -> Proc:
    """Witness of the shared stack's processes, and of commands that it runs."""
    return spec11_session.access.proc(spec11_recorder.witness())


@pytest.fixture
def files(spec11_session: ProofSession, spec11_recorder: Recorder) -> Files:
    """Witness of bytes on disk."""
    from pytest_spec11.oracles.files import Files  # noqa: PLC0415  # see TYPE_CHECKING

    return Files(spec11_recorder.witness(), spec11_session.runtime.active_saboteurs)


@pytest.fixture(scope="session")
def stacks(spec11_session: ProofSession, spec11_recorder: Recorder) -> Stacks:
    """Starter of private stacks, for tests that kill, plant or reconfigure."""
    return spec11_session.runtime.stacks(spec11_recorder.witness)


@pytest.fixture
def provokes(spec11_recorder: Recorder) -> Provokes:
    """Declares that this test provokes a failure of a workflow on purpose (D30)."""
    return spec11_recorder.record_provocation
