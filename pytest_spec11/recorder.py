"""Everything that happens to the tests of one process, written to its journal as it happens."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from pytest_spec11.trial import Trial


class Book(Protocol):
    """A journal open for writing: append-only, in order, safe for threads."""

    def append(self, kind: str, record: Mapping[str, Any]) -> None:
        """The record is in the journal, at the latest after the next :meth:`sync`."""
        ...

    def blob(self, body: bytes) -> str:
        """sha256 of ``body``, which is kept under that name."""
        ...

    def sync(self) -> None:
        """All records so far are on the disk."""
        ...

    def seal(self, counts: Mapping[str, Any]) -> None:
        """The journal is complete: nothing can be added to it."""
        ...


class Recorder:
    """Observations, assertions and outcomes of the tests of one process, each to its test."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._trial: Trial | None = None
        self._lock = threading.Lock()
        self.tally: dict[str, int] = {"collected": 0, "deselected": 0, "run": 0}
        self.unproven: dict[str, str] = {}

    @property
    def trial(self) -> Trial | None:
        """The test under way in this process."""
        return self._trial

    def collected(self, tests: Iterable[Mapping[str, Any]], deselected: Iterable[str]) -> None:
        """What will be run, with its claims, and what was left out of the selection."""
        listed, left_out = list(tests), sorted(deselected)
        self._book.append("collected", {"tests": listed, "deselected": left_out})
        self.tally.update(collected=len(listed), deselected=len(left_out))
        self._book.sync()

    @contextmanager
    def running(self, nodeid: str, *, claims: bool) -> Iterator[Trial]:
        """The block runs this test; its end writes every attempt and makes the journal durable."""
        trial = self._trial = Trial(nodeid)
        before = threading.excepthook
        threading.excepthook = _noted(trial, before)
        try:
            yield trial
        finally:
            threading.excepthook = before
            self._trial = None
            trial.note_threads()
            for attempt in trial.attempts:
                self._book.append("outcome", {"nodeid": nodeid, **attempt.record()})
            self.tally["run"] += 1
            self._book.sync()
            if claims and (reason := why_unproven(trial)):
                self.unproven[nodeid] = reason

    def witness(self) -> Callable[..., None]:
        """What oracles report to, for the test that is under way now, also from its threads."""
        trial = self._trial

        def saw(
            source: str,
            ref: str,
            facts: Mapping[str, Any],
            *,
            body: bytes | None = None,
            empty: bool = False,
        ) -> None:
            self._saw(
                trial, {"source": source, "ref": ref, "facts": dict(facts), "empty": empty}, body
            )

        return saw

    def provoked(self, workflow_id: str, why: str) -> None:
        """The test under way provoked this on purpose: no trigger may count it (D30)."""
        nodeid = self._trial.nodeid if self._trial else ""
        self._book.append("provocation", {"nodeid": nodeid, "workflowId": workflow_id, "why": why})

    def lost(self, writer: str, nodeid: str | None, why: str) -> None:
        """A process, and the test it was running if any, is gone without an outcome."""
        self._book.append("lost", {"writer": writer, "nodeid": nodeid, "why": why})
        self._book.sync()

    def seal(self, exit_status: int) -> None:
        """The journal is complete."""
        self._book.seal({**self.tally, "exitStatus": exit_status})

    def _saw(self, trial: Trial | None, record: dict[str, Any], body: bytes | None) -> None:
        late = trial is not None and trial is not self._trial
        with self._lock:
            if trial is not None:
                trial.observed()
            digest = None if body is None else self._book.blob(body)
            nodeid = trial.nodeid if trial else ""
            self._book.append(
                "observation", {"nodeid": nodeid, "late": late, "blob": digest, **record}
            )


def why_unproven(trial: Trial) -> str:
    """Why the first attempt, though green, proves nothing; empty when it may, or was not green."""
    first = trial.attempts[0] if trial.attempts else trial.attempt
    if set(first.phases.values()) != {"passed"}:
        return ""
    if first.voids:
        return first.voids[0]
    if not first.observations:
        return "no oracle saw anything"
    if not first.informed:
        return "nothing was asserted after the first observation"
    return ""


def _noted(trial: Trial, then: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def hook(args: threading.ExceptHookArgs) -> None:
        trial.void(f"a thread raised {args.exc_type.__name__}")
        then(args)

    return hook
