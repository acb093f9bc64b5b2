"""The process that evaluates checks: it reads one question and writes one finding per line.

Checks of other authors are evaluated only here, under limits that the system enforces.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from typing import Any, Final

from engine.core import evals
from engine.core.canon import Json
from engine.core.evals import Artifact, Check, Finding

MEMORY: Final = 1 << 30
EVALUATED: Final = frozenset({"jsonschema", "regex"})


class Matching:
    """Schemas and patterns, evaluated in here. What evaluates them is loaded where one is there."""

    def search(self, pattern: str, text: str) -> bool:
        """Whether the pattern is found in ``text``."""
        from engine.contracts.schemas import Pattern  # noqa: PLC0415  # half a second

        return Pattern(pattern).matches(text)

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
    if any(check["kind"] in EVALUATED for check in asked["checks"]):
        import_module("engine.contracts.schemas")  # before anybody's time runs
    for check in asked["checks"]:
        found = _evaluate_check(check, index, limit)
        sys.stdout.write(f"{json.dumps(asdict(found))}\n")
        sys.stdout.flush()


def _evaluate_check(check: Check, index: list[Artifact], limit_s: int) -> Finding:
    try:
        with _within(limit_s):
            return evals.look(check, index, Matching())
    except TimeoutError:
        return Finding(passed=False, reason=f"{check['kind']}:timeout")
    except (RecursionError, MemoryError):
        return Finding(passed=False, reason=f"{check['kind']}:too_large")


@contextmanager
def _within(seconds: int) -> Iterator[None]:
    """The block ends in time: the processor's, which a busy machine does not use up for us.

    Raises TimeoutError.
    """

    def late(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
    main()
