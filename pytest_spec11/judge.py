"""The judge: a pure function from evidence to verdict. GO is what is left when nothing objects."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from pytest_spec11.binding import KEYS
from pytest_spec11.bundle import Bundle, Data, Leaf, Problem, real
from pytest_spec11.catalogue import Catalogue, Claim
from pytest_spec11.journal import TORN
from pytest_spec11.reasons import Reason, reason

Standing = Literal["PASS", "UNKNOWN", "FAIL"]

STALE_MS: Final = 24 * 3600 * 1000
FUTURE_MS: Final = 120 * 1000
_BROKEN: Final = frozenset({"E-TRUNCATED", "E-CHAIN", "E-UNSEALED"})
_VOIDS: Final = frozenset({"E-THREAD", "E-RETURN"})
_RED: Final = frozenset({"E-FAILED", "E-ERROR", *_VOIDS})
_BAD: Final = frozenset({"failed", "error"})
_ENDS: Final = MappingProxyType(
    {
        "failed": "E-FAILED",
        "error": "E-ERROR",
        "skipped": "E-SKIPPED",
        "xfailed": "E-XFAIL",
        "xpassed": "E-XPASS",
    }
)
_PROBLEMS: Final[Mapping[Problem, tuple[str, str]]] = MappingProxyType(
    {
        "missing": ("E-REF", "observed bytes are missing"),
        "altered": ("E-DIGEST", "observed bytes were altered"),
        "misstated": ("E-DIGEST", "the record gives its bytes another digest or size"),
    }
)
_COMPARED: Final = MappingProxyType(
    {
        "tree": "E-TREE",
        "commit": "E-COMMIT",
        "catalogue": "E-CATALOGUE",
        "appVersion": "E-APPVERSION",
        "lock": "E-BINDING",
        "plugin": "E-BINDING",
    }
)
_NEVER_EMPTY: Final = ("tree", "catalogue", "appVersion", "scope")
_NO_COMMIT: Final = "no commit to bind to: GO is for a commit, and this was no git work tree"
_MESSAGE_SHOWN: Final = 120
_HEADS: Final = frozenset({"main", "controller"})
_FAILURES: Final = 1
# pytest's exit statuses of a run that came to its end: all passed, some failed, none collected.
_ENDED: Final = frozenset({0, _FAILURES, 5})


@dataclass(frozen=True, slots=True)
class Verdict:
    """GO or NO_GO, every reason against GO, and how each claim stands."""

    verdict: Literal["GO", "NO_GO"]
    reasons: tuple[Reason, ...]
    claims: Mapping[str, Standing]


@dataclass(frozen=True, slots=True)
class Case:
    """Everything a rule may look at."""

    catalogue: Catalogue
    bundle: Bundle
    now_ms: int
    here: Mapping[str, object] | None
    scope: str


def judge(
    catalogue: Catalogue,
    bundle: Bundle,
    now_ms: int,
    here: Mapping[str, object] | None,
    scope: str,
) -> Verdict:
    """The verdict on ``bundle``; ``here`` is the binding of the tree to be released.

    Without ``here`` there is nothing the evidence could be about, so never GO.
    """
    case = Case(catalogue, bundle, now_ms, here, scope)
    found = [item for rule in _RULES for item in rule(case)]
    broken = any(item.code in _BROKEN for item in found)
    standings: dict[str, Standing] = {}
    for claim in catalogue.claims.values():
        against = list(_against(case, claim))
        standings[claim.id] = _standing(against, broken=broken)
        found += against if claim.needed(scope) else ()
    reasons = tuple(dict.fromkeys(found))
    return Verdict("NO_GO" if reasons else "GO", reasons, MappingProxyType(standings))


def _standing(against: list[Reason], *, broken: bool) -> Standing:
    if any(item.code in _RED for item in against):
        return "FAIL"
    return "UNKNOWN" if against or broken else "PASS"


def _whole(case: Case) -> Iterator[Reason]:
    if not case.bundle.leaves:
        yield reason("E-NO-EVIDENCE", "bundle", "there is no journal")
    for leaf in case.bundle.leaves:
        if not leaf.reading.records:
            yield reason("E-NO-EVIDENCE", leaf.name, "the journal holds no whole record")
        damage = leaf.reading.damage
        if damage:
            code = "E-TRUNCATED" if damage.startswith(TORN) else "E-CHAIN"
            yield reason(code, leaf.name, damage)
        if not leaf.reading.sealed:
            yield reason("E-UNSEALED", leaf.name, "the journal does not end with a seal")
    for leaf, record in case.bundle.records("seal"):
        if record.data["exitStatus"] not in _ENDED:
            text = f"the process ended with status {record.data['exitStatus']}"
            yield reason("E-ERROR", leaf.name, text)


def _manned(case: Case) -> Iterator[Reason]:
    runs: dict[str, list[Leaf]] = defaultdict(list)
    for leaf in case.bundle.leaves:
        runs[leaf.run].append(leaf)
    for run, leaves in runs.items():
        yield from _crew(
            run or "(unnamed run)", Counter(leaf.role for leaf in leaves), _orders(leaves)
        )


def _orders(leaves: list[Leaf]) -> list[Data]:
    return [
        record.data
        for leaf in leaves
        for record in leaf.reading.records
        if record.kind == "workers"
    ]


def _crew(run: str, roles: Counter[str], orders: list[Data]) -> Iterator[Reason]:
    expected = {role for order in orders for role in order["expected"]}
    if sum(roles[head] for head in _HEADS) != 1:
        yield reason("E-LOST", run, "not exactly one journal of the main process")
    if roles["controller"] and not expected:
        yield reason("E-LOST", run, "the controller does not say which workers it had")
    for role in sorted(expected - set(roles)):
        yield reason("E-LOST", role, f"run {run}: the worker left no journal")
    for role in sorted({role for order in orders for role in order["lost"]}):
        yield reason("E-LOST", role, f"run {run}: the worker was lost")
    for role in sorted(set(roles) - expected - _HEADS):
        yield reason("E-LOST", role or run, f"run {run}: a journal of a worker nobody expected")
    for role in sorted(role for role, count in roles.items() if count > 1):
        yield reason("E-LOST", role, f"run {run}: more than one journal of this role")


def _fresh(case: Case) -> Iterator[Reason]:
    for leaf in case.bundle.leaves:
        times = [record.at for record in leaf.reading.records]
        if times and case.now_ms - times[0] > STALE_MS:
            yield reason("E-STALE", leaf.name, "the run began more than 24 hours ago")
        if times and (times[-1] < times[0] or min(times) <= 0):
            yield reason("E-TIME", leaf.name, "the run ended before it began")
        if times and max(times) - case.now_ms > FUTURE_MS:
            yield reason("E-FUTURE", leaf.name, "a record is more than 120 s ahead of the clock")


def _bound(case: Case) -> Iterator[Reason]:
    if case.here is None:
        yield reason("E-BINDING", "here", "no work tree to compare the evidence with")
    else:
        yield from _complete("here", case.here, ("tree", "catalogue"))
    for leaf in case.bundle.leaves:
        yield from _complete(leaf.name, leaf.binding, _NEVER_EMPTY)
    for key, code in _COMPARED.items():
        yield from _equal(case, key, code)


def _complete(
    name: str, binding: Mapping[str, object], filled: tuple[str, ...]
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
        yield reason("E-DIRTY", name, "the work tree held what no commit holds")


def _equal(case: Case, key: str, code: str) -> Iterator[Reason]:
    said = [(leaf.name, leaf.binding.get(key)) for leaf in case.bundle.leaves]
    if key == "catalogue":
        said.insert(0, ("the judge", case.catalogue.digest))
    here = (case.here or {}).get(key)
    if case.here is not None and not (key == "appVersion" and not here):
        said.insert(0, ("this work tree", here))
    for name, value in said[1:]:
        if value != said[0][1]:
            text = f"{key} is {_short(value)}, but {_short(said[0][1])} for {said[0][0]}"
            yield reason(code, name, text)


def _short(value: object) -> str:
    return str(value)[:12] or "empty"


def _scoped(case: Case) -> Iterator[Reason]:
    claims = case.catalogue.claims.values()
    if case.scope == "demo":
        yield reason("claim_scope_demo", "demo", "the scope demo is never GO")
    elif not any(claim.needed(case.scope) for claim in claims):
        yield reason("E-SCOPE", case.scope, "no claim of the catalogue is of this scope")
    for leaf in case.bundle.leaves:
        said = leaf.binding.get("scope")
        if said == "demo" and case.scope != "demo":
            yield reason("claim_scope_demo", leaf.name, "the run was a demo")
        if said != case.scope:
            yield reason("E-SCOPE", leaf.name, f"scope is {_short(said)}, asked is {case.scope}")


def _conserved(case: Case) -> Iterator[Reason]:
    bundle = case.bundle
    for node in sorted(bundle.items.keys() - bundle.outcomes.keys()):
        yield reason("E-CONSERVATION", node, "collected, but without an outcome", _run(node))
    for node in sorted(bundle.outcomes.keys() - bundle.items.keys()):
        yield reason("E-CONSERVATION", node, "an outcome, but never collected", _run(node))
    red = {leaf.run for leaf, record in bundle.records("outcome") if record.data["outcome"] in _BAD}
    for leaf, record in bundle.records("seal"):
        if record.data["exitStatus"] == _FAILURES and leaf.run not in red:
            text = "pytest ended with failures, but no test on record failed"
            yield reason("E-CONSERVATION", leaf.name, text)


def _known(case: Case) -> Iterator[Reason]:
    bundle = case.bundle
    named = {claim for claims in bundle.deselected.values() for claim in claims}
    for claim in sorted(named.union(bundle.nodes) - case.catalogue.claims.keys()):
        closest = case.catalogue.closest(claim)
        text = f"not in the catalogue; did you mean {closest}?" if closest else "not in it"
        yield reason("E-UNKNOWN-CLAIM", claim, text)


def _blobs(case: Case) -> Iterator[Reason]:
    for flaw in case.bundle.flaws:
        yield _flaw_reason(flaw.problem, flaw.blob, flaw.node)


def _flaw_reason(problem: Problem, subject: str, node: str) -> Reason:
    code, text = _PROBLEMS[problem]
    return reason(code, subject, f"{text}: {node}")


def _unclaimed(case: Case) -> Iterator[Reason]:
    """What a red test says, also when it proves no claim that is needed."""
    bundle = case.bundle
    needed = {claim.id for claim in case.catalogue.claims.values() if claim.needed(case.scope)}
    proving = {node for claim in needed for node in bundle.nodes.get(claim, ())}
    for node in bundle.outcomes:
        if node not in proving:
            yield from (item for item in _ends(bundle, node, node) if item.code in _RED)


def _against(case: Case, claim: Claim) -> Iterator[Reason]:
    """Everything that speaks against one claim."""
    bundle = case.bundle
    nodes = bundle.nodes.get(claim.id, ())
    left = [
        node
        for node, claims in bundle.deselected.items()
        if claim.id in claims and node not in bundle.outcomes
    ]
    ends = {node: list(_ends(bundle, node, claim.id, claim.scenario)) for node in nodes}
    for node, against in ends.items():
        yield from against or _watched(bundle, node, claim)
    for node in left:
        yield reason("E-DESELECTED", claim.id, f"left out: {node}", _run(node, claim.scenario))
    if not nodes and not left:
        text = "no test of this claim was collected"
        yield reason("E-NOT-RUN", claim.id, text, f"pytest -m {claim.scenario}")
    if nodes and not any(ends.values()):
        yield from _sources(bundle, nodes, claim)


def _ends(bundle: Bundle, node: str, subject: str, scenario: str = "") -> Iterator[Reason]:
    """What speaks against how a test ended; nothing when it passed, once and wholly."""
    outcomes, homes = bundle.outcomes.get(node, ()), bundle.homes.get(node, ())
    command = _run(node, scenario)
    if not outcomes:
        yield reason("E-NOT-RUN", subject, f"no outcome: {node}", command)
    for outcome in outcomes:
        said = str(outcome.get("message", ""))[:_MESSAGE_SHOWN]
        for code, text in _end(outcome):
            yield reason(code, subject, f"{text}: {node}" + (f" ({said})" if said else ""), command)
    if len(homes) > 1:
        text = f"recorded in {len(homes)} journals, such as {' and '.join(homes[:2])}: {node}"
        yield reason("E-DUPLICATE", subject, text, command)
    if len(outcomes) > len(homes) or any(outcome["attempt"] > 1 for outcome in outcomes):
        yield reason("E-RERUN", subject, f"more than one attempt: {node}", command)


def _end(outcome: Data) -> Iterator[tuple[str, str]]:
    """Code and words of everything that is wrong with one outcome."""
    end, voids = outcome["outcome"], outcome.get("voids", [])
    broken = not _BAD.isdisjoint(str(phase) for phase in outcome["phases"].values())
    if end in _ENDS and (broken or not voids):
        yield _ENDS[end], end
    elif broken:
        yield "E-ERROR", "passed with a failed phase"
    for void in voids:
        code = void.get("code")
        yield code if code in _VOIDS else "E-FAILED", "no proof"


def _watched(bundle: Bundle, node: str, claim: Claim) -> Iterator[Reason]:
    command = _run(node, claim.scenario)
    if not any(real(item) for item in bundle.observations.get(node, ())):
        yield reason("E-EMPTY", claim.id, f"observed nothing: {node}", command)
    elif node not in bundle.checked:
        text = f"nothing asserted after the first observation: {node}"
        yield reason("E-NO-ASSERTION", claim.id, text, command)
    for flaw in bundle.flaws:
        if flaw.node == node:
            yield _flaw_reason(flaw.problem, claim.id, node)


def _sources(bundle: Bundle, nodes: tuple[str, ...], claim: Claim) -> Iterator[Reason]:
    seen = {
        item["source"] for node in nodes for item in bundle.observations.get(node, ()) if real(item)
    }
    missing = [source for source in claim.sources if source not in seen]
    if missing:
        text = f"nothing observed through {', '.join(missing)}"
        yield reason("E-SOURCE", claim.id, text, _run(nodes[0], claim.scenario))


def _run(node: str, scenario: str = "") -> str:
    """A command that runs one test again."""
    name = node.rpartition("::")[2].partition("[")[0]
    if scenario and name.isidentifier():
        return f"pytest -m {scenario} -k {name}"
    return f"pytest {shlex.quote(node)}"


_RULES: Final[tuple[Callable[[Case], Iterator[Reason]], ...]] = (
    _whole,
    _manned,
    _bound,
    _scoped,
    _fresh,
    _blobs,
    _conserved,
    _known,
    _unclaimed,
)
