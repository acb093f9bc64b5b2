"""Hears what fails beside a test: tasks, coroutines, futures and child processes.

Nothing raises such a failure in the test, and a warnings filter may hide it. Therefore the plugin
listens where Python itself finds out, and does what Python does there.
"""

from __future__ import annotations

import functools
import gc
import os
import signal
import subprocess
import warnings
from asyncio.base_events import BaseEventLoop
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from multiprocessing.process import BaseProcess
from typing import Any, Final

BACKGROUND: Final = "E-BACKGROUND"
_ASKED: Final = frozenset({signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP})
_OF_WIRE: Final = frozenset({"transport", "protocol", "socket", "asyncgen"})
_YOUNG: Final = 1  # the generations of garbage that one test makes


class Background:
    """What began beside the test that runs now, and has not been looked at."""

    def __init__(self) -> None:
        self._patches = ExitStack()
        self._failures: list[str] = []
        self._futures: dict[int, Future[Any]] = {}
        self._children: set[int] = set()
        self._processes: dict[int, BaseProcess] = {}
        self._is_async = False

    def listen(self) -> None:
        """Listen from now on, until :meth:`close`."""
        self._put(BaseEventLoop, "call_exception_handler", self._hear_loop)
        self._put(BaseEventLoop, "create_task", self._hear_task)
        self._put(warnings, "_warn_unawaited_coroutine", self._hear_coroutine)
        self._put(Future, "set_exception", self._hear_future)
        for name in ("result", "exception"):
            self._put(Future, name, self._take_future)
        self._put(os, "fork", self._hear_fork)
        self._put(subprocess.Popen, "__init__", self._hear_child)
        self._put(BaseProcess, "start", self._hear_process)
        plain: Any = BaseProcess.exitcode
        heard = property(lambda process: self._take_process(process, plain.fget))
        self._replace(BaseProcess, "exitcode", heard, plain)

    def close(self) -> None:
        """Listen no longer."""
        self._patches.close()

    def take_failures(self) -> list[str]:
        """What failed since the last call and nobody looked at; one text each."""
        if self._is_async:
            gc.collect(_YOUNG)  # a task tells of its exception when it is collected
        found = [*self._failures, *self._list_futures(), *self._list_processes()]
        found += self._list_children()
        for each in (self._failures, self._futures, self._processes, self._children):
            each.clear()
        self._is_async = False
        return found

    def _put(self, owner: Any, name: str, hear: Callable[..., Any]) -> None:
        plain = getattr(owner, name)

        @functools.wraps(plain)
        def call(*args: Any, **kwargs: Any) -> Any:
            return hear(plain, *args, **kwargs)

        self._replace(owner, name, call, plain)

    def _replace(self, owner: Any, name: str, value: Any, plain: Any) -> None:
        setattr(owner, name, value)
        self._patches.callback(setattr, owner, name, plain)

    def _hear_loop(self, plain: Any, loop: Any, context: dict[str, Any]) -> None:
        if not _OF_WIRE & context.keys():
            error = context.get("exception")
            raised = f": {type(error).__name__}" if error else ""
            self._failures.append(f"{context.get('message', 'an event loop failed')}{raised}")
        plain(loop, context)

    def _hear_task(self, plain: Any, *args: Any, **kwargs: Any) -> Any:
        self._is_async = True
        return plain(*args, **kwargs)

    def _hear_coroutine(self, plain: Any, coroutine: Any) -> None:
        self._failures.append(f"the coroutine {coroutine.__qualname__} was never awaited")
        plain(coroutine)

    def _hear_future(self, plain: Any, future: Future[Any], error: BaseException | None) -> None:
        if error is not None:
            self._futures[id(future)] = future
        plain(future, error)

    def _take_future(self, plain: Any, future: Future[Any], *args: Any, **kwargs: Any) -> Any:
        with suppress(KeyError):
            if future.done():
                del self._futures[id(future)]
        return plain(future, *args, **kwargs)

    def _list_futures(self) -> list[str]:
        errors = [getattr(each, "_exception", None) for each in [*self._futures.values()]]
        return [f"nobody took the {type(each).__name__} of a future" for each in errors]

    def _hear_fork(self, plain: Any) -> int:
        pid: int = plain()
        if pid:
            self._children.add(pid)
        return pid

    def _hear_child(self, plain: Any, child: Any, *args: Any, **kwargs: Any) -> None:
        plain(child, *args, **kwargs)
        self._children.add(child.pid)

    def _list_children(self) -> list[str]:
        """Children that ended with a failure and that nobody waited for."""
        found = []
        for pid in sorted(self._children):
            with suppress(ChildProcessError):  # somebody waited, and was told how it ended
                ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended and _is_failure(ended.si_status, by_signal=ended.si_code != os.CLD_EXITED):
                    found.append(f"nobody waited for a child that ended with {ended.si_status}")
        return found

    def _hear_process(self, plain: Any, process: BaseProcess) -> None:
        plain(process)
        self._processes[id(process)] = process

    def _take_process(self, process: BaseProcess, plain: Any) -> Any:
        code = plain(process)
        if code is not None:
            self._processes.pop(id(process), None)
        return code

    def _list_processes(self) -> list[str]:
        found = []
        for process in self._processes.values():
            popen: Any = getattr(process, "_popen", None)
            code = popen.poll() if popen is not None else None
            if code is not None and _is_failure(abs(code), by_signal=code < 0):
                found.append(f"nobody looked at the exit code {code} of {process.name}")
        return found


def _is_failure(status: int, *, by_signal: bool) -> bool:
    """Whether a child ended with a failure; one that was told to end did not."""
    return status not in _ASKED if by_signal else status != 0
