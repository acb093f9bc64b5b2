"""Rules about the kill matrix: every claim must have turned red for its own reason (D37)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from pytest_spec11.evidence.kill_matrix import TWIN
from pytest_spec11.judge.case import Case
from pytest_spec11.judge.reasons import Reason, reason


def check_kills(case: Case) -> Iterator[Reason]:
    """Every cell of the catalogue must be tried and killed; no benign twin may kill."""
    cells = {cell for cell in case.catalogue.cells if case.is_needed(cell[1])}
    if not cells:
        return
    if len(case.bundle.kills) != 1:
        code = "E-DUPLICATE" if case.bundle.kills else "E-WEAK-ORACLE"
        yield reason(code, "kills.json", f"{len(case.bundle.kills)} kill matrices instead of one")
    tried: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for each in case.bundle.kills:
        if each.damage:
            yield reason("E-DIGEST", each.name, each.damage)
        for row in each.data.get("cells", ()) if not each.damage else ():
            tried[row["saboteur"], row["claim"]].append(row)
    if tried:
        yield from _check_twins(cells, tried)
        yield from _twins(cells, tried)


def check_seen_red(case: Case, proven: Collection[str]) -> Iterator[Reason]:
    """Every claim of ``proven`` was seen red by each source that it needs, and green again.

    What is not green cannot be seen red, so of other claims nothing is said.
    """
    asked = [id_ for id_ in proven if case.is_needed(id_)]
    if case.terms.scope != "signoff" or not asked:
        return
    if not any(each.data.get("mutation") for each in case.bundle.kills if not each.damage):
        yield reason("E-WEAK-ORACLE", "kills.json", "no claim was tried under mutants")
        return
    for id_, missing in list_never_red(case, asked).items():
        text = f"no mutant of what it reads through {', '.join(missing)} turned it red"
        yield reason("E-WEAK-ORACLE", id_, text, f"spec11 sabotage --claim {id_}")


def list_never_red(case: Case, asked: Iterable[str]) -> dict[str, list[str]]:
    """The sources through which no mutant turned a claim red, for each claim with one."""
    seen: dict[str, set[str]] = defaultdict(set)
    for each in case.bundle.kills:
        mutation = each.data.get("mutation") if not each.damage else None
        for row in mutation["claims"] if mutation else ():
            if is_seen_red(case, row):
                seen[row["claim"]].add(row["source"])
    missing = {
        id_: [each for each in case.catalogue.claims[id_].sources if each not in seen[id_]]
        for id_ in asked
    }
    return {id_: sources for id_, sources in missing.items() if sources}


def is_seen_red(case: Case, row: Mapping[str, Any]) -> bool:
    """Whether a test of the claim was red under a mutant of what it read there, then green."""
    node, claim = row["node"], row["claim"]
    return (
        0 < row["killed"] <= row["tried"]
        and row["redAt"] > 0 < row["greenAt"]
        and node in case.bundle.nodes.get(claim, ())
        and row["source"] in case.bundle.sights.get(node, ())
    )


def _check_twins(
    cells: set[tuple[str, str]], tried: Mapping[tuple[str, str], list[Mapping[str, Any]]]
) -> Iterator[Reason]:
    for saboteur, claim in sorted(cells - tried.keys()):
        yield _weak(claim, saboteur, "was not tried")
    for (saboteur, claim), rows in tried.items():
        for row in rows:
            if text := _twin(row) if saboteur.endswith(TWIN) else survivor(row):
                yield _weak(claim, saboteur, text)


def survivor(row: Mapping[str, Any]) -> str:
    """Why a row is not a kill; empty if it is one."""
    if row["before"] != "PASS":
        return "its claim was not green without it"
    if row["hits"] < 1:
        return "never took effect"
    if row["during"] != "FAIL":
        return f"did not turn the claim red: {row['during']}"
    if not row["expected"] or row["expected"] not in (row["reason"] or {}).get("text", ""):
        return "the claim was red for another reason"
    return "" if row["after"] == "PASS" else "the claim was not green afterwards"


def _twin(row: Mapping[str, Any]) -> str:
    """Why the row of a benign twin is bad; empty if it is good."""
    if row["hits"] < 1:
        return "never took effect"
    words = {row["before"], row["during"], row["after"]}
    return "" if words == {"PASS"} else "has no fault, and still the claim was red"


def _twins(
    cells: set[tuple[str, str]], tried: Mapping[tuple[str, str], list[Mapping[str, Any]]]
) -> Iterator[Reason]:
    families = {saboteur.partition(".")[0] for saboteur, _ in cells}
    shown = {saboteur.partition(".")[0] for saboteur, _ in tried if saboteur.endswith(TWIN)}
    for family in sorted(families - shown):
        yield reason("E-WEAK-ORACLE", f"{family}{TWIN}", "no benign twin of this family was tried")


def _weak(claim: str, saboteur: str, text: str) -> Reason:
    command = f"spec11 sabotage --saboteur {saboteur} --claim {claim}"
    return reason("E-WEAK-ORACLE", claim, f"{saboteur} {text}", command)
