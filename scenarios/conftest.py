"""Fixtures of the suite: what makes a test's starts its own."""

from __future__ import annotations

import pytest

from pytest_spec11.run import Run
from pytest_spec11.target import Target


@pytest.fixture
def unique_goal(request: pytest.FixtureRequest, spec11_run: Run) -> str:
    """A goal that no other test of this run and no other run ever starts."""
    return f"{request.node.nodeid} of {spec11_run.id}"


@pytest.fixture(scope="session")
def app_version(spec11_target: Target) -> str:
    """The version that both processes of the shared stack are configured to be."""
    return spec11_target.app_version
