"""A sabotaged run: which tests it runs, how each ended under the fault, and the fault's hits.

It writes its findings to ``sabotage.ndjson`` in its bundle, one line per test. Such a bundle is not
evidence of any claim: its scope is always ``demo``.
"""

from __future__ import annotations

import json
import linecache
import math
import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any, Final

import pytest

from pytest_spec11.errors import NotObserved
from pytest_spec11.evidence.kill_matrix import FINDINGS
from pytest_spec11.mutants.orders import Orders
from pytest_spec11.session import markers as claims
from pytest_spec11.session.controls import Controls
from pytest_spec11.session.proof_session import ProofSession
from pytest_spec11.waiting import limit_waits

# A test raises one of these when its claim does not hold: an assertion failed, a wait ended without
# its event, or an oracle found not exactly one fact. Every other exception is a broken test.
_OWN: Final = (
    AssertionError,
    LookupError,
    NotObserved,
    TimeoutExpired,
    pytest.fail.Exception,
)
_ASSERTIONS: Final = (AssertionError, NotObserved, pytest.fail.Exception)
_KEPT: Final = 1000


@dataclass
class Finding:
    """How one test ended. ``text`` says why it is not green; ``hits`` counts by saboteur."""

    node: str
    claims: list[str]
    outcome: str = "PASS"
    text: str = ""
    hits: dict[str, int] = field(default_factory=dict)
    took_s: float = 0.0
    at: int = 0  # its end, in epoch milliseconds
    expected: dict[str, dict[str, str]] = field(default_factory=dict)
    changed: int = 0  # how many of its readings a mutant changed
    asserted: bool = False  # whether what ended it was an assertion of the test that did not hold


class SabotagedRun:
    """Hooks of a sabotaged run. They skip a test whose claims are all red already."""

    def __init__(self, session: ProofSession, given: tuple[Orders | None, Controls]) -> None:
        self._session = session
        self._orders, self._controls = given
        self._armed = session.runtime.active_saboteurs
        self._killed: set[str] = set()
        self._place = self._find_place()
        self._finding: Finding | None = None
        self._before: dict[str, int] = {}
        self._armed.wake(up=False)

    def _find_place(self) -> Path | None:
        """The file for what is found; None in a plain run."""
        if self._orders is not None:
            return Path(self._orders.out)
        asked = self._session.settings.findings or self._session.settings.saboteur
        return self._session.runtime.run.path / FINDINGS if asked else None

    def _write_finding(self, finding: Finding) -> None:
        """Each finding is written when it occurs: a run that is broken off keeps the earlier ones.

        The file is closed in between, so that the process has no handle that a plain run lacks.
        """
        if self._place is not None:
            self._place.parent.mkdir(parents=True, exist_ok=True)
            with self._place.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(finding)) + "\n")

    @pytest.hookimpl(tryfirst=True, specname="pytest_runtest_protocol")
    def leave_out(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """A test that this run need not run is passed by, without a report."""
        if self._orders is None or self._orders.takes(item.nodeid):
            return None
        item.session._setupstate.teardown_exact(nextitem)  # noqa: SLF001  # as its own runner does
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Record the begin and the end of a test."""
        self._before = self._armed.count_hits()
        self._controls.begin(item.nodeid)
        if self._orders is not None:
            limit_waits(self._orders.wait_s.get(item.nodeid, math.inf))
        proves = list(claims.claims_of(item))
        self._finding = finding = Finding(item.nodeid, proves)
        try:
            return (yield)
        finally:
            self._finding = None
            if finding.outcome != "LEFT":
                self._keep(finding)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Leave out a test whose claims were all red already."""
        proves = set(claims.claims_of(item))
        if self._armed.saboteurs and proves <= self._killed and self._finding is not None:
            self._finding.outcome = "LEFT"
            pytest.skip("its claims were red already")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """Run the test itself, after its fixtures."""
        self._armed.wake(up=True)
        try:
            return (yield)
        finally:
            self._armed.wake(up=False)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Record how a phase of the test ended."""
        report = yield
        finding = self._finding
        if finding is not None and finding.outcome != "LEFT":
            finding.took_s += call.duration
            if report.outcome != "passed" and finding.outcome == "PASS":
                own = call.when == "call" and _is_own(call.excinfo, item.path)
                finding.outcome = "FAIL" if own else "UNKNOWN"
                finding.asserted = call.when == "call" and _is_assertion(call.excinfo, item.path)
                finding.text = _describe_failure(call.excinfo, item.config.rootpath)
        return report

    def _keep(self, finding: Finding) -> None:
        self._note_voids(finding)
        finding.took_s, finding.at = round(finding.took_s, 2), time.time_ns() // 1_000_000
        finding.changed = self._controls.take_hits()
        after = self._armed.count_hits()
        for each in self._armed.saboteurs:
            since = 0 if each.lasting else self._before[each.id]
            finding.hits[each.id] = after[each.id] - since
            finding.expected[each.id] = {
                claim: each.expected_reason(claim) for claim in finding.claims
            }
            if finding.outcome == "FAIL":
                self._killed |= {
                    claim for claim in finding.claims if each.expected_reason(claim) in finding.text
                }
        self._write_finding(finding)

    def _note_voids(self, finding: Finding) -> None:
        """Count a test that passed but proves nothing as not green."""
        recorder = self._session.recorder
        trial = recorder.trial if recorder else None
        if finding.outcome == "PASS" and trial is not None and trial.attempt.voids:
            finding.outcome = "UNKNOWN"
            finding.text = "; ".join(each.text for each in trial.attempt.voids)


def _is_assertion(excinfo: pytest.ExceptionInfo[BaseException] | None, test: Path) -> bool:
    """Whether an assertion or a wait of the test itself found what it looked at to be untrue.

    A test that breaks down over what it read has not said that the claim does not hold.
    """
    return (
        excinfo is not None
        and isinstance(excinfo.value, _ASSERTIONS)
        and any(Path(entry.path) == test for entry in excinfo.traceback)
    )


def _is_own(excinfo: pytest.ExceptionInfo[BaseException] | None, test: Path) -> bool:
    """Whether the claim did not hold. Otherwise the test itself is broken.

    An exception that is raised inside an assertion of the test's own file counts as a failure of
    that assertion, for example a KeyError because a reply lacks a key.
    """
    if excinfo is None:
        return False
    if isinstance(excinfo.value, _OWN) and not isinstance(excinfo.value, KeyError | IndexError):
        return True
    own = [entry for entry in excinfo.traceback if Path(entry.path) == test]
    return any(_statement(test, entry).startswith("assert ") for entry in own)


def _describe_failure(excinfo: pytest.ExceptionInfo[BaseException] | None, root: Path) -> str:
    """The exception, and the statements of the team's own files that led to it, the last first.

    The text of a statement identifies the assertion also after lines move.
    """
    if excinfo is None:
        return ""
    said = " ".join(str(excinfo.value).split())
    places = []
    for entry in reversed(excinfo.traceback):
        path = Path(entry.path)
        if path.is_relative_to(root) and not _is_installed(path, root):
            places.append(f"{path.name}:{entry.lineno + 1} {_statement(path, entry)}")
    return f"{excinfo.typename}: {said[:_KEPT]} | {' < '.join(places[:4])}"[: 2 * _KEPT]


def _is_installed(path: Path, root: Path) -> bool:
    parts = path.relative_to(root).parts
    return "site-packages" in parts or parts[0] == __name__.partition(".")[0]


def _statement(path: Path, entry: Any) -> str:
    try:
        return " ".join(str(entry.statement).split())
    except (OSError, IndexError):  # the source is not available
        return linecache.getline(str(path), entry.lineno + 1).strip()
