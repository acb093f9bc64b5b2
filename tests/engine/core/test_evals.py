from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from engine.core import evals
from engine.core.evals import Artifact, Finding, Result

INDEX = [
    Artifact("a/list.json", "raw", [1, 2, 3]),
    Artifact("a/lines.txt", "file", {"text": "one\n\n  \ntwo\n"}),
    Artifact("b/object.json", "raw", {"k": "v"}),
    Artifact("b/number.json", "raw", 7),
    Artifact("b/no.json", "file", {"text": "{bad"}),
]


class Matching:
    """Looks for substrings, and finds that lists fit every schema."""

    def search(self, pattern: str, text: str) -> bool:
        return pattern in text

    def fits(self, schema: Mapping[str, Any], value: Any) -> bool:
        return schema == {} and isinstance(value, list)


@pytest.mark.parametrize(
    ("check", "passed", "reason"),
    [
        ({"kind": "file_exists", "glob": "*/obj?ct.json"}, True, "file_exists:ok"),
        ({"kind": "file_exists", "glob": "object.json"}, False, "file_exists:missing:object.json"),
        ({"kind": "jsonschema", "artifact": "a/list*", "schema": {}}, True, "jsonschema:ok"),
        ({"kind": "jsonschema", "artifact": "b/n?m*", "schema": {}}, False, "jsonschema:invalid"),
        ({"kind": "jsonschema", "artifact": "b/no*", "schema": {}}, False, "jsonschema:invalid"),
        (
            {"kind": "jsonschema", "artifact": "c", "schema": {}},
            False,
            "jsonschema:artifact_missing:c",
        ),
        ({"kind": "rowcount_gte", "artifact": "a/list*", "n": 3}, True, "rowcount_gte:ok:3>=3"),
        ({"kind": "rowcount_gte", "artifact": "a/lines*", "n": 3}, False, "rowcount_gte:fail:2<3"),
        ({"kind": "rowcount_gte", "artifact": "b/obj*", "n": 1}, True, "rowcount_gte:ok:1>=1"),
        ({"kind": "rowcount_gte", "artifact": "b/num*", "n": 1}, False, "rowcount_gte:fail:0<1"),
        ({"kind": "rowcount_gte", "artifact": "c", "n": 0}, True, "rowcount_gte:ok:0>=0"),
        ({"kind": "regex", "artifact": "b/obj*", "re": '{"k":"v"}'}, True, "regex:ok"),
        ({"kind": "regex", "artifact": "b/obj*", "re": "w"}, False, "regex:miss"),
        ({"kind": "regex", "artifact": "c", "re": "w"}, False, "regex:artifact_missing:c"),
        (
            {"kind": "diff_le", "artifactA": "a/list*", "artifactB": "b/num*", "max": 7},
            True,
            "diff_le:ok:7<=7",
        ),
        (
            {"kind": "diff_le", "artifactA": "a/list*", "artifactB": "b/num*", "max": 6},
            False,
            "diff_le:fail:7>6",
        ),
        (
            {"kind": "diff_le", "artifactA": "c", "artifactB": "d", "max": 6},
            False,
            "diff_le:artifact_missing:c|d",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_check_finds_what_is_there(check: dict[str, Any], passed: bool, reason: str) -> None:  # noqa: FBT001  # a column of the table
    found = evals.look({"id": "c", **check}, INDEX, Matching())

    assert (found.passed, found.reason) == (passed, reason)


def test_the_first_artifact_by_uri_counts() -> None:
    found = evals.look(
        {"id": "c", "kind": "rowcount_gte", "artifact": "*", "n": 0}, INDEX, Matching()
    )

    assert found == Finding(
        passed=True, reason="rowcount_gte:ok:2>=0", payload={"rows": 2, "min": 0}
    )


@pytest.mark.parametrize(
    ("glob", "text", "fits"),
    [
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("a*c", "abbbc", True),
        ("a*c", "abbbd", False),
        ("a?c", "ac", False),
        ("*a*b", "xaxbxb", True),
        ("[a]", "a", False),
        ("*a" * 2000 + "b", "a" * 20_000, False),
    ],
    ids=range(9),
)
def test_a_glob_is_all_of_the_text_and_takes_little_time(glob: str, text: str, fits: bool) -> None:  # noqa: FBT001  # a column of the table
    assert evals.matches(glob, text) is fits


@pytest.mark.parametrize(
    ("one", "other", "most", "far"),
    [
        ("", "", 0, 0),
        ("kitten", "sitting", 3, 3),
        ("kitten", "sitting", 2, 3),
        ("abc", "abc", 0, 0),
        ("", "abc", 9, 3),
        ("abc", "", 1, 2),
        ("flaw", "lawn", 2, 2),
    ],
)
def test_a_distance_is_counted_up_to_what_matters(
    one: str, other: str, most: int, far: int
) -> None:
    assert evals.distance(one, other, most) == far
    assert evals.distance(other, one, most) == far


FIRST = [
    Result(round=1, fixture_id=fixture, check_id=check, passed=True, reason="ok")
    for fixture in ("f1", "f2")
    for check in ("a", "b")
]
SECOND = [replace(each, round=2) for each in FIRST]


def test_two_rounds_that_tell_the_same_pass() -> None:
    found = evals.verdict([*reversed(FIRST), *SECOND], 4)

    assert (found.state, len(found.hashes), len(set(found.hashes))) == ("passed", 2, 1)


def test_two_rounds_that_fail_alike_have_failed() -> None:
    failed = [replace(each, passed=False, reason="no") for each in FIRST[:1]]
    both = [*failed, *FIRST[1:], *(replace(each, round=2) for each in failed), *SECOND[1:]]

    assert evals.verdict(both, 4).state == "failed"


@pytest.mark.parametrize("change", [{"passed": False}, {"reason": "another"}])
def test_rounds_that_differ_are_a_flake_even_if_both_passed(change: dict[str, Any]) -> None:
    found = evals.verdict([*FIRST, replace(SECOND[0], **change), *SECOND[1:]], 4)

    assert (found.state, len(set(found.hashes))) == ("flaky", 2)


@pytest.mark.parametrize(
    ("results", "due"), [([], 0), ([], 4), (FIRST, 4), ([*FIRST, *SECOND[1:]], 4)]
)
def test_what_was_not_looked_at_has_no_verdict(results: list[Result], due: int) -> None:
    with pytest.raises(RuntimeError, match="findings a round"):
        evals.verdict(results, due)
