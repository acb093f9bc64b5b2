"""Writes what happens to the tests of one process to its journal, as it happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, TypeAlias

from pytest_spec11.canon import canonical_lossy
from pytest_spec11.evidence.journal import Journal
from pytest_spec11.oracles.witness import Witness
from pytest_spec11.session.attempts import RunningTest
from pytest_spec11.session.background import BACKGROUND, Background
from pytest_spec11.session.redaction import Redaction

PassOn: TypeAlias = Callable[[str, str, str, Any], Any]

_TEXT_KEPT = 300


class Recorder:
    """Records observations, assertions and outcomes of the tests of one process, each by test."""

    def __init__(self, journal: Journal, redaction: Redaction, pass_on: PassOn) -> None:
        self._journal = journal
        self._pass_on = pass_on
        self._redaction = redaction
        self._trial: RunningTest | None = None
        self._lock = threading.Lock()
        self.claims: dict[str, list[str]] = {}
        self._lost: list[str] = []
        self._background = Background()
        self._background.listen()

    @property
    def trial(self) -> RunningTest | None:
        """The test that runs in this process."""
        return self._trial

    def record_collection(
        self,
        items: Iterable[Mapping[str, Any]],
        deselected: Iterable[Mapping[str, Any]],
        inventory: Mapping[str, Any],
    ) -> None:
        """Record the selected tests with their claims, and the tests that were deselected.

        ``inventory`` are the tests that the tree defines, and the places of the selected ones.
        """
        listed = [dict(item) for item in items]
        self.claims = {item["node"]: item["claims"] for item in listed}
        self._journal.write(
            "collected", items=listed, deselected=[dict(each) for each in deselected], **inventory
        )
        self._journal.sync()

    @contextmanager
    def running(self, node: str) -> Iterator[RunningTest]:
        """Run this test in the block; then write every attempt and make the journal durable."""
        trial = self._trial = RunningTest(node)
        before = threading.excepthook
        threading.excepthook = _wrap_thread_hook(trial, before)
        try:
            yield trial
        finally:
            for text in self._background.take_failures():
                trial.void(BACKGROUND, text)
            threading.excepthook = before
            self._trial = None
            trial.note_threads()
            trial.note_contradictions()
            self._write(trial)

    def _write(self, trial: RunningTest) -> None:
        claims = self.claims.get(trial.node, [])
        for attempt in trial.attempts:
            self._journal.write("outcome", node=trial.node, claims=claims, **attempt.record())
        self._journal.sync()

    def witness(self) -> Witness:
        """What oracles report to, for the test that is under way now, also from its threads."""
        return TestWitness(self, self._trial)

    def pass_on(self, trial: RunningTest | None, source: str, ref: str, reading: Any) -> Any:
        """The reading as that test gets it."""
        node = trial.node if trial is not None and trial is self._trial else ""
        return self._pass_on(node, source, self._redaction.text(ref), reading)

    def record_observation(
        self,
        trial: RunningTest | None,
        seen: Mapping[str, Any],
        facts: Mapping[str, Any],
        body: bytes | None,
    ) -> None:
        """What an oracle read for that test, its secrets hidden before anything is hashed."""
        shown = self._redaction.facts(facts)
        read = canonical_lossy(shown) if body is None else self._redaction.content(body)
        blob = None if body is None else self._journal.blob(read)
        size, digest = len(read), blob or sha256(read).hexdigest()
        ref = self._redaction.text(seen["ref"])
        bytes_ = {"blob": blob, "size": size, "digest": digest}
        self._record_facts(trial, shown, {**seen, **bytes_, "ref": ref})

    def record_provocation(self, workflow_id: str, why: str) -> None:
        """Record that the test provoked this on purpose: no trigger may count it (D30)."""
        node = self._trial.node if self._trial else ""
        self._journal.write("provocation", node=node, workflowId=workflow_id, why=why)

    def record_assertion(self, line: int, text: str) -> None:
        """Record a passed assertion of the test that runs now."""
        trial = self._trial
        if trial is not None and trial.note_assertion():
            self._journal.write("assertion", node=trial.node, line=line, text=text[:_TEXT_KEPT])

    def record_lost_worker(self, role: str, why: str) -> None:
        """Record a process of the run that ended without a sealed journal."""
        self._lost.append(role)
        self._journal.write("note", lost=role, why=why)
        self._journal.sync()

    def note(self, **facts: Any) -> None:
        """Record a fact that is worth keeping but proves nothing."""
        self._journal.write("note", **facts)

    def workers(self, expected: Iterable[str]) -> None:
        """Record which processes must leave a sealed journal, and which did not."""
        self._journal.write("workers", expected=sorted(expected), lost=sorted(self._lost))

    def record_surroundings(self, found: Mapping[str, Any]) -> None:
        """Record the plugins, the interpreter, and the files that nobody committed."""
        self._journal.write("surroundings", **found)

    def seal(self, exit_status: int) -> None:
        """Seal the journal: it is complete."""
        self._background.close()
        self._journal.seal(exitStatus=exit_status)

    def _record_facts(
        self, trial: RunningTest | None, facts: dict[str, Any], seen: dict[str, Any]
    ) -> None:
        with self._lock:
            if trial is not None and trial is not self._trial:
                seen, node = {**seen, "lateFor": trial.node}, ""
            else:
                node = trial.node if trial else ""
                if trial is not None:
                    trial.note_observation()
            self._journal.write("observation", node=node, facts=facts, **seen)


class TestWitness:
    """The witness of one test: it may outlive the test, and then says that it did."""

    def __init__(self, recorder: Recorder, trial: RunningTest | None) -> None:
        self._recorder = recorder
        self._trial = trial

    def __call__(
        self,
        source: str,
        ref: str,
        facts: Mapping[str, Any],
        *,
        body: bytes | None = None,
        empty: bool = False,
    ) -> None:
        """One observation is in the journal."""
        seen = {"source": source, "ref": ref, "empty": empty}
        self._recorder.record_observation(self._trial, seen, facts, body)

    def pass_on(self, source: str, ref: str, reading: Any) -> Any:
        """What the test gets for what was read."""
        return self._recorder.pass_on(self._trial, source, ref, reading)


def _wrap_thread_hook(trial: RunningTest, then: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def hook(args: threading.ExceptHookArgs) -> None:
        trial.void("E-THREAD", f"a thread raised {args.exc_type.__name__}")
        then(args)

    return hook
