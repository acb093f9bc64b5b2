"""The judge: a pure function from evidence to verdict. It says GO only if no rule objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from types import MappingProxyType
from typing import Final

from pytest_spec11.evidence.bundle import Bundle
from pytest_spec11.evidence.kept_runs import KeptRun
from pytest_spec11.judge import (
    bound,
    claims,
    flakes,
    inventory,
    journals,
    kills,
    lanes,
    surroundings,
)
from pytest_spec11.judge.case import Case, Standing, Terms, Verdict
from pytest_spec11.judge.reasons import Reason, Trait, codes_with, rank, reason
from pytest_spec11.requirements.catalogue import Catalogue

__all__ = ["Case", "Standing", "Terms", "Verdict", "judge"]

_BROKEN: Final = codes_with(Trait.BREAKS)
_RULES: Final[tuple[Callable[[Case], Iterator[Reason]], ...]] = (
    journals.check_journals,
    journals.check_workers,
    journals.check_single_run,
    journals.check_shards,
    bound.check_binding,
    bound.check_scope,
    bound.check_posture,
    bound.check_age,
    claims.check_blobs,
    journals.check_outcomes,
    surroundings.check_surroundings,
    surroundings.check_target,
    inventory.check_inventory,
    claims.check_claim_names,
    claims.check_red_tests,
    flakes.check_kept,
    lanes.check_lanes,
    lanes.check_lane_order,
)


def judge(
    catalogue: Catalogue, bundle: Bundle, terms: Terms, kept: tuple[KeptRun, ...] = ()
) -> Verdict:
    """The verdict on ``bundle``: every reason against GO, and the status of each claim.

    ``kept`` are other runs of the same tree. They prove nothing; a red test in them is a reason.
    """
    case = Case(catalogue, bundle, terms, kept)
    found = [item for rule in _RULES for item in _apply_rule(rule, case)]
    broken = any(item.code in _BROKEN for item in found)
    standings: dict[str, Standing] = {}
    for claim in catalogue.claims.values():
        against = list(claims.find_objections(case, claim))
        standings[claim.id] = _standing(against, broken=broken)
        found += against if case.is_needed(claim.id) else ()
    # Last: what is not green cannot be seen red.
    green = [id_ for id_, word in standings.items() if word == "PASS"]
    found += _apply_rule(kills.check_kills, case)
    weak = _apply_rule(partial(kills.check_seen_red, proven=green), case)
    standings |= {each.subject: "UNKNOWN" for each in weak if each.subject in standings}
    found += weak
    reasons = tuple(sorted(dict.fromkeys(found), key=rank))
    return Verdict("NO_GO" if reasons else "GO", reasons, MappingProxyType(standings), case.needed)


def _apply_rule(rule: Callable[[Case], Iterator[Reason]], case: Case) -> list[Reason]:
    """The reasons of one rule. A rule that cannot decide blocks, and the others still run."""
    found: list[Reason] = []
    try:
        found.extend(rule(case))
    except Exception as error:  # noqa: BLE001  # whatever it is, it must not look like GO
        text = f"could not decide: {type(error).__name__}: {error}"[:300]
        found.append(reason("E-UNKNOWN", getattr(rule, "__name__", "check_seen_red"), text))
    return found


def _standing(against: list[Reason], *, broken: bool) -> Standing:
    if any(item.code in claims.RED for item in against):
        return "FAIL"
    return "UNKNOWN" if against or broken else "PASS"
