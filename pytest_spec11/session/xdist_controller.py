"""The controller's part under xdist: it starts what workers need, and counts who is lost."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_spec11.run import to_worker_input
from pytest_spec11.session.proof_session import ProofSession


class XdistController:
    """Hooks of xdist, registered in the controller alone."""

    def __init__(self, session: ProofSession) -> None:
        self._session = session

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """A worker is told which run it belongs to."""
        node.workerinput.update(to_worker_input(self._session.runtime.run))
        self._session.expected_workers.append(node.workerinput["workerid"])
        self._session.hand_on_orders(node.workerinput["workerid"])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """A worker knows its selection and has put down what it needs."""
        self._session.need(self._session.runtime.shelf.needs())

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str) -> None:
        """The test that a worker was running when it died."""
        if (recorder := self._session.recorder) is not None:
            recorder.note(crashed=crashitem)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object | None) -> None:
        """A worker that ended before its time."""
        if error and (recorder := self._session.recorder) is not None:
            recorder.record_lost_worker(node.workerinput["workerid"], f"{error}"[:300])
