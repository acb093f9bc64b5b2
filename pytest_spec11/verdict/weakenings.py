"""Weakenings: demands that a tree dropped or made weaker since the merge base.

A commit may change a claim. The sign-off lists this for the people who sign; no rule judges it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_spec11.errors import BadInput
from pytest_spec11.evidence import merge_base
from pytest_spec11.requirements import catalogue, policy
from pytest_spec11.requirements.catalogue import Catalogue, Claim
from pytest_spec11.requirements.policy import Policy


@dataclass(frozen=True, slots=True)
class Weakenings:
    """The commit of the comparison, and a sentence for each; both are empty without a base."""

    base: str
    sentences: tuple[str, ...]


def measure(root: Path, claims: Path | None, known: Catalogue, asked: Policy) -> Weakenings:
    """Compare the tree at ``root`` with its merge base; ``claims`` is the file of its catalogue.

    Raises CannotJudge when git cannot run.
    """
    before = merge_base.read(root, root / policy.FILE, claims or catalogue.PACKAGED)
    if before is None:
        return Weakenings("", ())
    found = [
        *_of_policy(before.policy, asked),
        *_of_catalogue(before.catalogue, known),
        *_of_marks(before.marks, merge_base.count_marks(root)),
    ]
    return Weakenings(before.commit, tuple(found))


def _of_policy(text: str | None, asked: Policy) -> Iterator[str]:
    try:
        if text is not None:
            yield from compare_policies(policy.read(text.encode()), asked)
    except BadInput as error:
        yield f"the merge base's {error}"


def _of_catalogue(text: str | None, known: Catalogue) -> Iterator[str]:
    try:
        if text is not None:
            yield from compare_catalogues(catalogue.parse_catalogue(json.loads(text)), known)
    except (BadInput, ValueError, KeyError, TypeError, AttributeError) as error:
        yield f"the merge base's catalogue cannot be read: {type(error).__name__}"


def _of_marks(before: Counter[str], now: Counter[str]) -> Iterator[str]:
    for mark, count in sorted((before - now).items()):
        yield f"tests: {mark} marks {count} fewer"


def compare_policies(old: Policy, new: Policy) -> Iterator[str]:
    """Each demand of ``old`` that ``new`` dropped or made weaker, one sentence each."""
    for name in sorted({*old.mandatory} - {*new.mandatory}):
        yield f"policy: {name} is no longer asked for"
    for name in sorted({*old.shards} - {*new.shards}):
        yield f"policy: shard {name} is no longer asked for"
    yield from _compare_folders(old.tests, new.tests)
    for word, before, now in (
        ("max_age_h", old.max_age_h, new.max_age_h),
        ("clock_skew_s", old.clock_skew_s, new.clock_skew_s),
        ("threshold of signatures", -old.threshold, -new.threshold),
    ):
        if now > before:
            yield f"policy: {word} went from {abs(before):g} to {abs(now):g}"
    for key in sorted({*new.keys} - {*old.keys}) if old.keys else ():
        yield f"policy: key {key[:12]} may sign now"
    if new.rehearsal and not old.rehearsal:
        yield "policy: this tree became a rehearsal"
    yield from _compare_limits(old, new)


def _compare_folders(old: tuple[str, ...], new: tuple[str, ...]) -> Iterator[str]:
    if new and not old:
        yield f"policy: only the tests in {', '.join(new)} are asked for"
    for folder in sorted({*old} - {*new}) if new else ():
        yield f"policy: the tests in {folder} are no longer asked for"


def _compare_limits(old: Policy, new: Policy) -> Iterator[str]:
    for name, bounds in sorted(old.thresholds.items()):
        for word, before in sorted(bounds.items()):
            now = new.thresholds.get(name, {}).get(word)
            if now is None:
                yield f"policy: {name} has no {word} any more"
            elif (now > before) if word == "max" else (now < before):
                yield f"policy: {word} of {name} went from {before:g} to {now:g}"


def compare_catalogues(old: Catalogue, new: Catalogue) -> Iterator[str]:
    """Each demand of ``old`` that ``new`` dropped or made weaker, one sentence each."""
    for id_, before in old.claims.items():
        if (now := new.find(id_)) is None:
            yield f"catalogue: {id_} is gone"
        else:
            yield from _compare_claims(before, now)
    for name in sorted({*old.lanes} - {*new.lanes}):
        yield f"catalogue: lane {name} is no longer asked for"
    stances = {(each.key, scope): each.values for each in new.posture for scope in each.scopes}
    for each in old.posture:
        if any(not {*stances.get((each.key, s), "?")} <= {*each.values} for s in each.scopes):
            yield f"catalogue: posture {each.key} is asked for less"
    strong = {tile.id for tile in new.tiles if tile.kills}
    for tile in old.tiles:
        if tile.kills and tile.id not in strong:
            yield f"catalogue: {tile.id} needs no kill matrix any more"


def _compare_claims(before: Claim, now: Claim) -> Iterator[str]:
    if before.mandatory and not now.mandatory:
        yield f"catalogue: {now.id} is no longer mandatory"
    for word in ("scopes", "sources", "saboteurs"):
        if gone := sorted({*getattr(before, word)} - {*getattr(now, word)}):
            yield f"catalogue: {now.id} has no {word} {', '.join(gone)} any more"
    if before.text != now.text:
        yield f"catalogue: {now.id} has another text"
