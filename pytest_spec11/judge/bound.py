"""Rules about the binding: this tree, this scope, this policy, and the age of the evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from pytest_spec11.evidence.binding import KEYS
from pytest_spec11.evidence.journal import Times
from pytest_spec11.judge.case import Case
from pytest_spec11.judge.reasons import Reason, reason

_COMPARED: Final = MappingProxyType(
    {
        "tree": "E-TREE",
        "commit": "E-COMMIT",
        "catalogue": "E-CATALOGUE",
        "policy": "E-POLICY",
        "appVersion": "E-APPVERSION",
        "lock": "E-BINDING",
        "plugin": "E-BINDING",
    }
)
_NEVER_EMPTY: Final = ("tree", "catalogue", "appVersion", "scope")
_NO_COMMIT: Final = "no commit: GO needs a commit, and this is not a git work tree"
_SHOWN: Final = 3  # uncommitted files that a reason names
_HOUR_MS: Final = 3_600_000
_NAMING: Final = frozenset({"oc_mode", "sbx_mode"})  # codes that contain the value that was found


def check_age(case: Case) -> Iterator[Reason]:
    """No evidence may be too old, come from the future, or end before it begins."""
    for leaf in case.bundle.leaves:
        if leaf.reading.times:
            yield from _timely(case, leaf.name, leaf.reading.times)
    for each in case.bundle.documents:
        if not each.damage:
            first, last = each.data["startedAt"], each.data["finishedAt"]
            times = Times(first, last, min(first, last), max(first, last))
            yield from _timely(case, each.name, times)


def _timely(case: Case, name: str, times: Times) -> Iterator[Reason]:
    policy, now_ms = case.terms.policy, case.terms.now_ms
    if now_ms - times.first > policy.max_age_h * _HOUR_MS:
        yield reason("E-STALE", name, f"began more than {policy.max_age_h:g} hours ago")
    if times.last < times.first or times.earliest <= 0:
        yield reason("E-TIME", name, "ended before it began")
    if 0 < times.earliest < times.first - policy.clock_skew_s * 1000:
        yield reason("E-TIME", name, "has records that are older than their run")
    if times.latest - now_ms > policy.clock_skew_s * 1000:
        text = f"more than {policy.clock_skew_s:g} s ahead of the clock"
        yield reason("E-FUTURE", name, text)


def check_binding(case: Case) -> Iterator[Reason]:
    """Every process must have measured the same: the tree to release, whole and committed."""
    here = case.terms.here
    if here is None:
        yield reason("E-BINDING", "here", "no work tree to compare the evidence with")
    else:
        yield from _complete("here", here, ("tree", "catalogue"), case.terms.uncommitted)
    named = {leaf.name: _read_names(leaf.start.get("uncommitted")) for leaf in case.bundle.leaves}
    for name, binding in _bindings(case):
        yield from _complete(name, binding, _NEVER_EMPTY, named.get(name, ()))
    for key, code in _COMPARED.items():
        yield from _equal(case, key, code)


def _bindings(case: Case) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Each measurement: who made it, and its binding."""
    yield from ((leaf.name, leaf.binding) for leaf in case.bundle.leaves)
    yield from ((each.name, each.data["binding"]) for each in case.documents)


def _read_names(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _complete(
    name: str,
    binding: Mapping[str, object],
    filled: tuple[str, ...],
    uncommitted: tuple[str, ...],
) -> Iterator[Reason]:
    wrong = [
        key
        for key in sorted(KEYS)
        if not isinstance(binding.get(key), bool if key == "dirty" else str)
        or (key in filled and not binding[key])
    ]
    if wrong:
        yield reason("E-BINDING", name, f"the binding lacks {', '.join(wrong)}")
    if binding.get("commit") == "":
        yield reason("E-BINDING", name, _NO_COMMIT)
    if binding.get("dirty") is not False:
        shown = ", ".join(uncommitted[:_SHOWN])
        more = f" and {len(uncommitted) - _SHOWN} more" if len(uncommitted) > _SHOWN else ""
        text = "the work tree had uncommitted changes"
        yield reason("E-DIRTY", name, f"{text}: {shown}{more}" if shown else text)


def _equal(case: Case, key: str, code: str) -> Iterator[Reason]:
    said = [(name, binding.get(key)) for name, binding in _bindings(case)]
    if key == "catalogue":
        said.insert(0, ("the judge", case.catalogue.digest))
    here = (case.terms.here or {}).get(key)
    if case.terms.here is not None and not (key == "appVersion" and not here):
        said.insert(0, ("this work tree", here))
    for name, value in said[1:]:
        if value != said[0][1]:
            text = f"{key} is {_short(value)}, but {_short(said[0][1])} for {said[0][0]}"
            yield reason(code, name, text)


def _short(value: object) -> str:
    return str(value)[:12] or "empty"


def check_scope(case: Case) -> Iterator[Reason]:
    """The scope must allow a release, and all evidence must have this scope."""
    claims, scope = case.catalogue.claims.values(), case.terms.scope
    if scope == "demo":
        yield reason("claim_scope_demo", "demo", "the scope demo is never GO")
    elif not any(claim.is_needed(scope) for claim in claims):
        yield reason("E-SCOPE", scope, "no claim of the catalogue has this scope")
    for name, binding in _bindings(case):
        said = binding.get("scope")
        if said == "demo" and scope != "demo":
            yield reason("claim_scope_demo", name, "the run was a demo")
        if said != scope:
            yield reason("E-SCOPE", name, f"scope is {_short(said)}, but the gate asks for {scope}")


def check_posture(case: Case) -> Iterator[Reason]:
    """The target must have had the settings that the catalogue demands at this scope."""
    for leaf in case.bundle.leaves:
        posture = leaf.start.get("posture", {})
        for stance in case.catalogue.posture:
            said = posture.get(stance.key) if isinstance(posture, dict) else None
            if case.terms.scope in stance.scopes and said not in stance.values:
                code = stance.code + (f"_{said}" if stance.code in _NAMING and said else "")
                asked = " or ".join(stance.values)
                text = f"{stance.key} was {said or 'not stated'}, but the scope needs {asked}"
                yield reason(code, leaf.name, text)
