"""A recipe's checks: what they find in the artifacts of a run, and whether two rounds agree.

A check names an artifact by a glob over its uri; if several match, the first uri counts. Other
people write checks, so the caller must limit the time of each.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from engine.core.artifacts import TEXT_KINDS
from engine.core.canon import Json, canonical, digest

Check: TypeAlias = "Mapping[str, Any]"
ROUNDS: Final = (1, 2)


@dataclass(frozen=True, slots=True)
class Artifact:
    """One artifact of a run."""

    uri: str
    kind: str
    inline: Any

    @property
    def text(self) -> str:
        """The artifact as text: a text as it is, anything else as canonical JSON."""
        return str(self.inline["text"]) if self._is_text else canonical(self.inline).decode()

    @property
    def value(self) -> Json:
        """The artifact as a JSON value. Raises ValueError for a text that is not JSON."""
        value: Json = json.loads(self.inline["text"]) if self._is_text else self.inline
        return value

    @property
    def rows(self) -> int:
        """The number of rows: items of an array, non-blank lines of a text, 1 for an object."""
        if self._is_text:
            return sum(1 for line in self.inline["text"].splitlines() if line.strip())
        match self.inline:
            case list() as items:
                return len(items)
            case dict():
                return 1
            case _:
                return 0

    @property
    def _is_text(self) -> bool:
        return self.kind in TEXT_KINDS


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    passed: bool
    reason: str
    payload: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one check found in one run of one fixture."""

    round: int
    fixture_id: str
    check_id: str
    passed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of both rounds: passed, failed or flaky, with a hash of each round."""

    state: str
    hashes: tuple[str, ...]


class Matching(Protocol):
    """Evaluates schemas and patterns of other authors."""

    def search(self, pattern: str, text: str) -> bool:
        """Whether the pattern is found in ``text``."""
        ...

    def fits(self, schema: Mapping[str, Any], value: Json) -> bool:
        """Whether ``value`` fits the schema."""
        ...


def look(check: Check, index: Sequence[Artifact], matching: Matching) -> Finding:
    """What ``check`` finds among the artifacts of ``index``."""
    return _LOOKS[check["kind"]](check, index, matching)


def matches(glob: str, text: str) -> bool:
    """Whether ``glob`` matches all of ``text``: ``*`` any characters, ``?`` any one character.

    It goes back only to the last star, so the time is at most the product of the two lengths.
    """
    at, begin, star, resumed = 0, 0, -1, 0
    while at < len(text):
        if begin < len(glob) and glob[begin] == "*":
            star, resumed = begin, at
            begin += 1
        elif begin < len(glob) and glob[begin] in {"?", text[at]}:
            at, begin = at + 1, begin + 1
        elif star >= 0:
            resumed += 1
            at, begin = resumed, star + 1
        else:
            return False
    return all(letter == "*" for letter in glob[begin:])


def outcome_hash(results: Sequence[Result]) -> str:
    """The digest of all findings of one round, in the order of fixtures and checks."""
    by_fixture: dict[str, list[Json]] = {}
    for each in sorted(results, key=lambda one: (one.fixture_id, one.check_id)):
        told: Json = {"checkId": each.check_id, "pass": each.passed, "reason": each.reason}
        by_fixture.setdefault(each.fixture_id, []).append(told)
    failed = {each.fixture_id for each in results if not each.passed}
    return digest(
        [
            {"fixtureId": fixture, "ok": fixture not in failed, "eval": told}
            for fixture, told in by_fixture.items()
        ]
    )


def verdict(results: Sequence[Result], due: int) -> Verdict:
    """The verdict of ``results``, with ``due`` of them in each round; unequal rounds are flaky.

    Raises RuntimeError when a result is missing, because a check that did not run has not passed.
    """
    rounds = [[each for each in results if each.round == number] for number in ROUNDS]
    if not due or any(len(found) != due for found in rounds):
        raise RuntimeError(f"of {due} findings a round there are {[*map(len, rounds)]}")
    hashes = tuple(map(outcome_hash, rounds))
    if len(set(hashes)) > 1:
        return Verdict("flaky", hashes)
    return Verdict("passed" if all(each.passed for each in results) else "failed", hashes)


def distance(one: str, other: str, most: int) -> int:
    """The number of letters to add, drop or change; ``most + 1`` if it is greater than ``most``."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        low, high = max(1, number - most), min(len(other), number + most)
        fresh = [most + 1] * (len(other) + 1)
        fresh[low - 1] = number if low == 1 else most + 1
        for at in range(low, high + 1):
            changed = row[at - 1] + (letter != other[at - 1])
            fresh[at] = min(changed, row[at] + 1, fresh[at - 1] + 1)
        row = fresh
        if min(row[low - 1 : high + 1]) > most:
            return most + 1
    return min(row[-1], most + 1)


def _find_artifact(glob: str, index: Sequence[Artifact]) -> Artifact | None:
    fitting = (each for each in index if matches(glob, each.uri))
    return min(fitting, key=lambda each: each.uri, default=None)


def _file_exists(check: Check, index: Sequence[Artifact], _: Matching) -> Finding:
    if _find_artifact(check["glob"], index):
        return Finding(passed=True, reason="file_exists:ok")
    return Finding(passed=False, reason=f"file_exists:missing:{check['glob']}")


def _jsonschema(check: Check, index: Sequence[Artifact], matching: Matching) -> Finding:
    artifact = _find_artifact(check["artifact"], index)
    if artifact is None:
        return _missing(check, "artifact")
    try:
        fits = matching.fits(check["schema"], artifact.value)
    except ValueError:
        fits = False
    return Finding(passed=fits, reason=f"jsonschema:{'ok' if fits else 'invalid'}")


def _rowcount_gte(check: Check, index: Sequence[Artifact], _: Matching) -> Finding:
    artifact, least = _find_artifact(check["artifact"], index), check["n"]
    rows = artifact.rows if artifact else 0
    passed = rows >= least
    reason = f"ok:{rows}>={least}" if passed else f"fail:{rows}<{least}"
    return Finding(passed, f"rowcount_gte:{reason}", {"rows": rows, "min": least})


def _regex(check: Check, index: Sequence[Artifact], matching: Matching) -> Finding:
    artifact = _find_artifact(check["artifact"], index)
    if artifact is None:
        return _missing(check, "artifact")
    found = matching.search(check["re"], artifact.text)
    return Finding(passed=found, reason=f"regex:{'ok' if found else 'miss'}")


def _diff_le(check: Check, index: Sequence[Artifact], _: Matching) -> Finding:
    one, other, most = (
        _find_artifact(check["artifactA"], index),
        _find_artifact(check["artifactB"], index),
        check["max"],
    )
    if one is None or other is None:
        return _missing(check, "artifactA", "artifactB")
    far = distance(one.text, other.text, most)
    passed = far <= most
    reason = f"ok:{far}<={most}" if passed else f"fail:{far}>{most}"
    return Finding(passed, f"diff_le:{reason}", {"distance": far, "max": most})


def _missing(check: Check, *names: str) -> Finding:
    wanted = "|".join(check[name] for name in names)
    return Finding(passed=False, reason=f"{check['kind']}:artifact_missing:{wanted}")


_LOOKS: Final[Mapping[str, Callable[[Check, Sequence[Artifact], Matching], Finding]]] = {
    "file_exists": _file_exists,
    "jsonschema": _jsonschema,
    "rowcount_gte": _rowcount_gte,
    "regex": _regex,
    "diff_le": _diff_le,
}
