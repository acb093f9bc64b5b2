from __future__ import annotations

import pytest

from tests.engine.processes import engine


@pytest.mark.parametrize(
    ("words", "promised"),
    [
        ((), ("up", "api", "worker", "db", "psql", "first steps", "exit status")),
        (("repro",), ("--run W", "--verify FILE", "--out FILE", "exit status")),
        (("triage",), ("--run W", "--log FILE", "healthz", "engine SQL", "exit status")),
        (("up",), ("--workers N", "--port P", "--data-dir DIR", "ready http://", "exit status")),
    ],
)
def test_help_says_what_one_can_type_and_what_comes_of_it(
    words: tuple[str, ...], promised: tuple[str, ...]
) -> None:
    shown = engine(*words, "--help")

    assert (shown.code, shown.stderr) == (0, "")
    assert [text for text in promised if text not in shown.stdout] == []
    assert max(map(len, shown.stdout.splitlines())) <= 100
