"""What a recipe's checks find in the artifacts of a run, and whether two runs tell the same.

A check names an artifact by a glob over its uri; of several the first by uri counts. Checks are
data of others: whoever looks bounds the time that one may take.
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
    """One thing that a run left behind."""

    uri: str
    kind: str
    inline: Any

    @property
    def text(self) -> str:
        """It as text: that of a text, of anything else its canonical JSON."""
        return str(self.inline["text"]) if self._is_text else canonical(self.inline).decode()

    @property
    def value(self) -> Json:
        """It as a JSON value. Raises ValueError for a text that is none."""
        value: Json = json.loads(self.inline["text"]) if self._is_text else self.inline
        return value

    @property
    def rows(self) -> int:
        """How many: items of an array, lines of a text that are not blank, one for an object."""
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
    """What the findings of both rounds come to: passed, failed or flaky; a hash of each round."""

    state: str
    hashes: tuple[str, ...]


class Matching(Protocol):
    """Schemas and patterns of others, evaluated."""

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
    """Whether all of ``text`` is what ``glob`` says: ``*`` any characters, ``?`` any one.

    It goes back to the last star only, so it takes at most the product of the two lengths.
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
    """The digest of all that one round found, in the order of fixtures and checks."""
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
    """What ``results`` come to, ``due`` of them in each round: unequal rounds are a flake.

    Raises RuntimeError when one is missing: what was not looked at has not passed.
    """
    rounds = [[each for each in results if each.round == number] for number in ROUNDS]
    if not due or any(len(found) != due for found in rounds):
        raise RuntimeError(f"of {due} findings a round there are {[*map(len, rounds)]}")
    hashes = tuple(map(outcome_hash, rounds))
    if len(set(hashes)) > 1:
        return Verdict("flaky", hashes)
    return Verdict("passed" if all(each.passed for each in results) else "failed", hashes)


def distance(one: str, other: str, most: int) -> int:
    """How many letters to add, drop or change between the two; ``most + 1`` for any more."""
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
