"""Rules about kept runs: a green run does not prove what was red in another run of this tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_spec11.evidence.kept_runs import KeptRun
from pytest_spec11.judge.case import Case
from pytest_spec11.judge.reasons import Reason, reason
from pytest_spec11.requirements.catalogue import Claim


@dataclass(frozen=True, slots=True)
class Tally:
    """How many kept runs of this tree tried a needed claim, and how many of them were all green."""

    runs: int
    green: int


def check_kept(case: Case) -> Iterator[Reason]:
    """Every kept run of this tree must be readable: an unreadable one may have been red."""
    for run in case.kept:
        if run.damage and run.is_of_tree:
            text = f"a kept run of this tree, and damaged: {run.damage}"
            yield reason("E-FLAKY", run.name, text, f"spec11 flakes {run.path}")


def check_test(case: Case, node: str, claim: Claim) -> Iterator[Reason]:
    """A test that is green here must not have been red in a kept run of this tree."""
    red = [run for run in case.kept if node in run.reds]
    if red:
        last: KeptRun = red[-1]
        count = 1 + sum(node in run.ended or node in run.reds for run in case.kept)
        text = (
            f"red in {len(red)} of {count} kept runs of this tree, "
            f"last {last.reds[node].word} in {last.name}: {node}"
        )
        yield reason("E-FLAKY", claim.id, text, f"spec11 flakes {last.path}")


def count_runs(case: Case) -> Tally:
    """Count the kept runs of this tree, with the runs that are judged."""
    bundle = case.bundle
    needed = {
        node for claim in bundle.nodes if case.is_needed(claim) for node in bundle.nodes[claim]
    }
    runs: dict[str, bool] = {}
    for end in bundle.ends:
        if end.node in needed:
            runs[end.run] = runs.get(end.run, False) or end.is_red
    reds = [*runs.values()]
    reds += [
        not needed.isdisjoint(run.reds)
        for run in case.kept
        if not needed.isdisjoint(run.ended | run.reds.keys())
    ]
    return Tally(len(reds), reds.count(False))
