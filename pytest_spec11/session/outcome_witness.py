"""Records how each phase of a test ends in the place where it ends, apart from all reports.

Hooks and plugins stand around these places. They may swallow an exception or rewrite a report, but
they come after the witness.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Final
from unittest import SkipTest

import pytest
from _pytest.unittest import TestCaseFunction

from pytest_spec11.session.attempts import RunningTest

_MARK: Final = "_spec11_witness"


class OutcomeWitness:
    """Stands around the test function, the item's own run, and the setup and teardown of pytest."""

    def __init__(self, find_test: Callable[[], RunningTest | None]) -> None:
        self._find_test = find_test
        self._item: pytest.Item | None = None

    def watch_fixtures(self, item: pytest.Item) -> None:
        """Watch pytest's own setup and teardown of fixtures; once for each session."""
        self._item = item
        state: Any = item.session._setupstate  # noqa: SLF001  # no hook is inside of all hooks
        for when, name in (("setup", "setup"), ("teardown", "teardown_exact")):
            plain = getattr(state, name)
            if not hasattr(plain, _MARK):
                setattr(state, name, self._wrap(plain, when))

    def watch_run(self, item: pytest.Item) -> Callable[[], None]:
        """Watch the run of ``item``, of whatever kind; the result ends the watch.

        The run of a plain function is watched closer by :meth:`watch_function`.
        """
        held: Any = item
        if isinstance(item, TestCaseFunction):
            return self._watch_method(item)
        if isinstance(item, pytest.Function):
            return lambda: None
        held.runtest = self._wrap(item.runtest, "call")
        return lambda: delattr(held, "runtest")

    def _watch_method(self, item: TestCaseFunction) -> Callable[[], None]:
        """Watch a method of unittest, which calls it by its name."""
        plain = item.obj
        item.obj = self._wrap(plain, "call")
        setattr(item.instance, item.name, item.obj)

        def restore() -> None:
            item.obj = plain

        return restore

    def watch_function(self, item: pytest.Function) -> Callable[..., Any]:
        """The function of ``item``, watched."""
        return self._wrap(item.obj, "call", returns=True)

    def _wrap(
        self, function: Callable[..., Any], when: str, *, returns: bool = False
    ) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                value = function(*args, **kwargs)
            except BaseException as error:
                self._note(when, self._word_of(error))
                raise
            self._note(when, "passed", value if returns else None)
            return value

        @functools.wraps(function)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            try:
                value = await function(*args, **kwargs)
            except BaseException as error:
                self._note(when, self._word_of(error))
                raise
            self._note(when, "passed", value if returns else None)
            return value

        chosen: Any = call_async if inspect.iscoroutinefunction(function) else call
        setattr(chosen, _MARK, True)
        return chosen  # type: ignore[no-any-return]  # Any, so that it takes an attribute

    def _note(self, when: str, word: str, value: object = None) -> None:
        test = self._find_test()
        if test is None:
            return
        test.phase_seen(when, word)
        if value is not None:
            kind = type(value).__name__
            test.void("E-RETURN", f"the test returned a value of type {kind}")

    def _word_of(self, error: BaseException) -> str:
        """The word for what left a phase. A test with the mark ``xfail`` may fail as expected."""
        if isinstance(error, pytest.xfail.Exception):
            return "xfailed"
        if isinstance(error, pytest.skip.Exception | SkipTest):
            return "skipped"
        marked = self._item is not None and self._item.get_closest_marker("xfail") is not None
        return "xfailed" if marked else "failed"
