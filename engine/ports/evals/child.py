"""The process that looks at checks: its input is one question, its output a finding a line.

What others wrote is evaluated here and nowhere else, under limits that the system keeps.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final

from engine.core import evals
from engine.core.canon import Json
from engine.core.evals import Artifact, Check, Finding

MEMORY: Final = 1 << 30


class Matching:
    """Schemas and patterns, evaluated in here. What evaluates them is loaded when one is there."""

    def searched(self, pattern: str, text: str) -> bool:
        """Whether the pattern is found in ``text``."""
        from engine.contracts.schemas import Pattern  # noqa: PLC0415  # half a second

        return Pattern(pattern).found_in(text)

    def fits(self, schema: Mapping[str, Any], value: Json) -> bool:
        """Whether ``value`` fits the schema."""
        from engine.contracts.schemas import Schema  # noqa: PLC0415  # as above

        return Schema(schema).fits(value)


def main() -> None:
    """Answer the question on standard input."""
    asked = json.load(sys.stdin)
    index = [Artifact(**each) for each in asked["index"]]
    limit = int(asked["limit"])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for check in asked["checks"]:
        found = _found(check, index, limit)
        sys.stdout.write(f"{json.dumps(asdict(found))}\n")
        sys.stdout.flush()


def _found(check: Check, index: list[Artifact], limit_s: int) -> Finding:
    try:
        with _within(limit_s):
            return evals.look(check, index, Matching())
    except TimeoutError:
        return Finding(passed=False, reason=f"{check['kind']}:timeout")
    except (RecursionError, MemoryError):
        return Finding(passed=False, reason=f"{check['kind']}:too_large")


@contextmanager
def _within(seconds: int) -> Iterator[None]:
    """The block ends in time. Raises TimeoutError."""

    def late(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


if __name__ == "__main__":
    main()
