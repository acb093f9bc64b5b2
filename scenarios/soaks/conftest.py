"""Sizes of the soaks."""

from __future__ import annotations

from collections.abc import Callable

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long they are."""
    group = parser.getgroup("soaks")
    group.addoption("--soak-kills", type=int, default=500, help="kills that hit work in flight")
    group.addoption("--soak-runs", type=int, default=1_000, help="runs that wait at once")
    group.addoption("--soak-flood", type=int, default=10_000, help="runs queued before one other")


@pytest.fixture
def soak_kills(pytestconfig: pytest.Config) -> int:
    """How many kills must hit."""
    return int(pytestconfig.getoption("soak_kills"))


@pytest.fixture
def soak_runs(pytestconfig: pytest.Config) -> int:
    """How many runs wait at once."""
    return int(pytestconfig.getoption("soak_runs"))


@pytest.fixture
def soak_flood(pytestconfig: pytest.Config) -> int:
    """How many runs lie in the queue before one of another tenant."""
    return int(pytestconfig.getoption("soak_flood"))


@pytest.fixture
def say(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """A line on the terminal at once: a soak is long."""
    terminal = pytestconfig.pluginmanager.getplugin("terminalreporter")
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def line(text: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            terminal.write_line(text)

    return line
