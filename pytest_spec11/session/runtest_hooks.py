"""Hooks that report to the recorder what happens to a test while it runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any, TypeAlias

import pytest

from pytest_spec11.session import assertion_hook
from pytest_spec11.session.recorder import Recorder

Reporting: TypeAlias = Generator[None, pytest.TestReport, pytest.TestReport]


class RuntestHooks:
    """Runtest hooks of one process; registered when its journal is open."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Put all attempts of a test into one trial."""
        with self._recorder.running(item.nodeid):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Reporting:
        """Record the outcome of a phase as pytest finally sees it."""
        report = yield
        if (trial := self._recorder.trial) is not None and trial.node == item.nodeid:
            trial.phase_ended(call.when, _outcome(report), _last_line(report))
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Begin the first or the next attempt."""
        if (trial := self._recorder.trial) is not None:
            trial.setup_began()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self) -> None:
        """Record that the setup is over."""
        if (trial := self._recorder.trial) is not None:
            trial.call_began()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a report that no phase made, or that a plugin changed, for its phase."""
        trial = self._recorder.trial
        if trial is not None and report.failed and trial.node == report.nodeid:
            trial.phase_ended(report.when, "failed", _last_line(report))

    def pytest_assertion_pass(self, item: pytest.Item, lineno: int, orig: str) -> None:
        """Record a passed assertion, unless it stands in an installed package."""
        if assertion_hook.is_of_tests(item.path):
            self._recorder.record_assertion(lineno, orig)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Make a test void that returns a value: it probably meant to assert it."""
        plain = pyfuncitem.obj
        pyfuncitem.obj = self._observant(plain)
        try:
            return (yield)
        finally:
            pyfuncitem.obj = plain

    def _observant(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            value = function(*args, **kwargs)
            if value is not None and (trial := self._recorder.trial) is not None:
                kind = type(value).__name__
                trial.void("E-RETURN", f"the test returned a value of type {kind}")
            return value

        return call


def _outcome(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return "xpassed" if report.passed else "xfailed"
    return report.outcome


def _last_line(report: pytest.TestReport) -> str:
    if not report.failed:
        return ""
    crash = getattr(report.longrepr, "reprcrash", None)
    return (crash.message if crash else str(report.longrepr)).splitlines()[0][:300]
