"""Named places where this process may die between two durable writes, armed only from outside.

``pass_point`` is all that the engine's code knows of it. Off, it compares one string. The list is
closed: arming another name refuses to start, and the kill lane has to hit every one.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from typing import Final

STEPS: Final = (
    "CompileST",
    "Budget",
    "ApplyPatchST",
    "OpenGate",
    "CloseGate",
    "DecideST",
    "executeTask",
    "ExecuteST",
    "Rollback",
    "Fail",
    "Known",
    "TakeBack",
    "escalate",
    "s1",
    "s2",
    "tick",
    "rehearse",
    "settle",
)
PATCHES: Final = ("begun", "written", "restored")  # row, no file; file, no mark; restored, no mark
REQUESTS: Final = (
    *("start", "stored", "reply", "event", "cancel", "resume", "fork", "retry", "demo"),
    *("import", "promote"),
)
_ARMED: Final = re.compile(r"([\w.]+)(?::([1-9][0-9]{0,3}))?")


def _names() -> Iterator[str]:
    """Around each step's transaction, and around what each request commits.

    After a step is before the durable engine knows; after a commit before the client knows.
    """
    for step in STEPS:
        yield from (f"worker.{step}.before", f"worker.{step}.after")
    yield "worker.executeTask.ran"  # the command has ended, and nothing says so
    for moment in PATCHES:
        yield f"worker.patch.{moment}"
    for request in REQUESTS:
        yield from (f"api.{request}.received", f"api.{request}.committed")


POINTS: Final = tuple(_names())


class Arming:
    """The one point at which this process dies, if any, and how often it is passed before."""

    def __init__(self) -> None:
        self.name = ""
        self.passes = 0


_armed: Final = Arming()


def parse_point(text: str) -> tuple[str, int]:
    """The point that ``text`` (``name`` or ``name:n``) arms, and its nth hit. Raises ValueError."""
    match = _ARMED.fullmatch(text)
    if match is None or match[1] not in POINTS:
        raise ValueError("not a crash point: `spec11-engine points` lists them")
    return match[1], int(match[2] or 1)


def arm(name: str, hit: int) -> None:
    """From now on the ``hit``th time that this process reaches ``name`` is its last."""
    _armed.name, _armed.passes = name, hit - 1


def pass_point(name: str) -> None:
    """The process is at ``name``. Armed, this is where it ends, as by SIGKILL."""
    if name != _armed.name:
        return
    if _armed.passes:
        _armed.passes -= 1
        return
    os.kill(os.getpid(), signal.SIGKILL)
