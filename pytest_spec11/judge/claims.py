"""Rules about the claims: the reasons against each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from pytest_spec11.evidence.bundle import Bundle
from pytest_spec11.evidence.outcome import Outcome
from pytest_spec11.evidence.run_files import Problem
from pytest_spec11.judge import flakes
from pytest_spec11.judge.case import Case
from pytest_spec11.judge.reasons import Reason, Trait, codes_with, command_of, reason
from pytest_spec11.requirements.catalogue import Claim

_VOIDS: Final = codes_with(Trait.VOIDS)
RED: Final = codes_with(Trait.RED)
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
        "linked": ("E-REF", "observed bytes are behind a symbolic link"),
        "emptied": ("E-EMPTY", "observed bytes were taken out of their file"),
        "altered": ("E-DIGEST", "observed bytes were altered"),
        "misstated": ("E-DIGEST", "the record gives its bytes another digest or size"),
    }
)
_MESSAGE_SHOWN: Final = 120


def check_claim_names(case: Case) -> Iterator[Reason]:
    """Find claim ids that the catalogue does not have."""
    bundle = case.bundle
    named = {claim for claims in bundle.deselected.values() for claim in claims}
    named.update(case.terms.policy.mandatory)
    for claim in sorted(named.union(bundle.nodes) - case.catalogue.claims.keys()):
        closest = case.catalogue.closest(claim)
        text = f"not in the catalogue; did you mean {closest}?" if closest else "not in it"
        yield reason("E-UNKNOWN-CLAIM", claim, text)


def check_blobs(case: Case) -> Iterator[Reason]:
    """Find bytes that differ from their records."""
    for flaw in case.bundle.flaws:
        yield _flaw_reason(flaw.problem, flaw.blob, flaw.node)


def _flaw_reason(problem: Problem, subject: str, node: str) -> Reason:
    code, text = _PROBLEMS[problem]
    return reason(code, subject, f"{text}: {node}")


def check_red_tests(case: Case) -> Iterator[Reason]:
    """Find red tests, also tests that prove no needed claim."""
    bundle = case.bundle
    needed = filter(case.is_needed, case.catalogue.claims)
    proving = {node for claim in needed for node in bundle.nodes.get(claim, ())}
    for node in bundle.outcomes:
        if node not in proving:
            yield from (item for item in _ends(bundle, node, node) if item.code in RED)


def find_objections(case: Case, claim: Claim) -> Iterator[Reason]:
    """Every reason against one claim."""
    bundle = case.bundle
    nodes = bundle.nodes.get(claim.id, ())
    left = bundle.deselected_tests.get(claim.id, ())
    ends = {node: list(_ends(bundle, node, claim.id, claim.scenario)) for node in nodes}
    for node, against in ends.items():
        yield from against or _check_sources(bundle, node, claim)
        if not against:
            yield from flakes.check_test(case, node, claim)
    for node in left:
        command = command_of(node, claim.scenario)
        yield reason("E-DESELECTED", claim.id, f"left out: {node}", command)
    if not nodes and not left:
        text = "no test of this claim was collected"
        yield reason("E-NOT-RUN", claim.id, text, f"pytest -m {claim.scenario}")
    if nodes and not any(ends.values()):
        yield from _sources(bundle, nodes, claim)


def _ends(bundle: Bundle, node: str, subject: str, scenario: str = "") -> Iterator[Reason]:
    """The reasons against a test's outcomes; none if it passed once, in every phase."""
    outcomes, homes = bundle.outcomes.get(node, ()), bundle.homes.get(node, ())
    command = command_of(node, scenario)
    if not outcomes:
        yield reason("E-NOT-RUN", subject, f"no outcome: {node}", command)
    for outcome in outcomes:
        said = outcome.message[:_MESSAGE_SHOWN]
        for code, text in _end(outcome):
            yield reason(code, subject, f"{text}: {node}" + (f" ({said})" if said else ""), command)
    if len(homes) > 1:
        text = f"recorded in {len(homes)} journals, such as {' and '.join(homes[:2])}: {node}"
        yield reason("E-DUPLICATE", subject, text, command)
    if len(outcomes) > len(homes) or any(outcome.attempt > 1 for outcome in outcomes):
        yield reason("E-RERUN", subject, f"more than one attempt: {node}", command)


def _end(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Code and text of every fault of one outcome."""
    broken = outcome.has_bad_phase
    if outcome.word in _ENDS and (broken or not outcome.voids):
        yield _ENDS[outcome.word], outcome.word
    elif broken:
        yield "E-ERROR", "passed with a failed phase"
    for code in outcome.voids:
        yield code if code in _VOIDS else "E-FAILED", "no proof"


def _check_sources(bundle: Bundle, node: str, claim: Claim) -> Iterator[Reason]:
    command = command_of(node, claim.scenario)
    if node not in bundle.sights:
        yield reason("E-EMPTY", claim.id, f"observed nothing: {node}", command)
    elif node not in bundle.checked:
        text = f"nothing asserted after the first observation: {node}"
        yield reason("E-NO-ASSERTION", claim.id, text, command)
    for flaw in bundle.flaws_of.get(node, ()):
        yield _flaw_reason(flaw.problem, claim.id, node)


def _sources(bundle: Bundle, nodes: tuple[str, ...], claim: Claim) -> Iterator[Reason]:
    seen = {source for node in nodes for source in bundle.sights.get(node, ())}
    missing = [source for source in claim.sources if source not in seen]
    if missing:
        text = f"nothing observed through {', '.join(missing)}"
        yield reason("E-SOURCE", claim.id, text, command_of(nodes[0], claim.scenario))
