"""The summary: a verdict in lines for a person, scenario by scenario."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_spec11.catalogue import Catalogue, Scenario
from pytest_spec11.judge import Verdict


def lines(verdict: Verdict, catalogue: Catalogue, only: set[str] | None) -> list[str]:
    """One line per scenario of ``only`` (all if None), one for the rest, and the verdict."""
    codes: dict[str, str] = {}
    for reason in verdict.reasons:
        codes.setdefault(reason.subject, reason.code)
    shown = [item for item in catalogue.scenarios if only is None or item.id in only]
    rest = [item for item in catalogue.scenarios if item not in shown]
    found = [_line(item, verdict, codes) for item in shown]
    if rest:
        total = sum(len(item.claims) for item in rest)
        found.append(f"not run: {' '.join(item.id for item in rest)} ({total} claims)")
    return [*found, conclusion(verdict)]


def conclusion(verdict: Verdict) -> str:
    """The verdict, and the first reason against it."""
    if not verdict.reasons:
        return f"verdict: {verdict.verdict}"
    first = verdict.reasons[0]
    return f"verdict: {verdict.verdict}, first reason: {first.code} {first.subject}: {first.text}"


def _line(scenario: Scenario, verdict: Verdict, codes: dict[str, str]) -> str:
    open_ = [claim.id for claim in scenario.claims if verdict.claims[claim.id] != "PASS"]
    proven = f"{len(scenario.claims) - len(open_)}/{len(scenario.claims)} proven"
    if not open_:
        return f"{scenario.id}  {proven}"
    why = {codes.get(claim, verdict.claims[claim]) for claim in open_}
    if len(open_) == len(scenario.claims) > 1 and len(why) == 1:
        return f"{scenario.id}  {proven}   unproven: all ({why.pop()})"
    return f"{scenario.id}  {proven}   unproven: {_named(open_, verdict, codes)}"


def _named(claims: Iterable[str], verdict: Verdict, codes: dict[str, str]) -> str:
    return ", ".join(
        f"{claim.partition('.')[2] or claim} ({codes.get(claim, verdict.claims[claim])})"
        for claim in claims
    )
