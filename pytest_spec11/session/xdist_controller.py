"""The xdist controller: it starts what workers need and counts lost workers."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_spec11.run import to_worker_input
from pytest_spec11.session.proof_session import ProofSession


class XdistController:
    """Hooks of xdist, registered only in the controller."""

    def __init__(self, session: ProofSession) -> None:
        self._session = session

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker which run it belongs to."""
        node.workerinput.update(to_worker_input(self._session.runtime.run))
        self._session.expected_workers.append(node.workerinput["workerid"])
        self._session.hand_on_orders(node.workerinput["workerid"])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """Start what a worker needs: it knows its selection and published its needs."""
        self._session.need(self._session.runtime.shelf.needs())

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str) -> None:
        """Record the test that a worker ran when it died."""
        if (recorder := self._session.recorder) is not None:
            recorder.note(crashed=crashitem)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object | None) -> None:
        """Record a worker that ended too early."""
        if error and (recorder := self._session.recorder) is not None:
            recorder.record_lost_worker(node.workerinput["workerid"], f"{error}"[:300])
