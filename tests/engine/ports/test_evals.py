from __future__ import annotations

import asyncio
from typing import Any

from engine.core.evals import Artifact, Finding
from engine.ports.evals import Evals

LONG = Artifact("long", "file", {"text": "a" * 100_000 + "!"})
OTHER = Artifact("other", "file", {"text": "b" * 100_000})
ENDLESS = {"id": "d", "kind": "diff_le", "artifactA": "long", "artifactB": "other", "max": 10**9}
THERE = {"id": "t", "kind": "file_exists", "glob": "long"}


def judge_checks(*checks: dict[str, Any]) -> list[Finding]:
    return asyncio.run(Evals().judge(checks, [LONG, OTHER]))


def test_checks_are_looked_at_in_a_process_of_their_own() -> None:
    regex = {"id": "r", "kind": "regex", "artifact": "l*", "re": "a!$"}
    schema = {"id": "s", "kind": "jsonschema", "artifact": "l*", "schema": {}}

    found = judge_checks(THERE, regex, schema)

    assert [each.reason for each in found] == ["file_exists:ok", "regex:ok", "jsonschema:invalid"]


def test_a_pattern_that_explodes_elsewhere_is_looked_for_in_time() -> None:
    (found,) = judge_checks({"id": "r", "kind": "regex", "artifact": "l*", "re": "((a+)+)+$"})

    assert found.reason == "regex:miss"


def test_a_check_that_takes_too_long_fails_alone() -> None:
    found = judge_checks(THERE, ENDLESS, THERE)

    assert [each.reason for each in found] == [
        "file_exists:ok",
        "diff_le:timeout",
        "file_exists:ok",
    ]
    assert not found[1].passed


def test_what_breaks_the_process_fails_with_all_that_comes_after() -> None:
    found = judge_checks(THERE, {"id": "x", "kind": "no such kind"}, THERE)

    assert [each.reason for each in found] == [
        "file_exists:ok",
        "no such kind:unanswered",
        "file_exists:unanswered",
    ]
