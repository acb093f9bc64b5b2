"""What takes a GO back: live findings in the database that no passing evidence explains (D30)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.core.runs import OF_APP, OF_ENGINE, RANKS, Rank
from engine.core.signoff import Fault, Tile, Verdict

SHOWN: Final = 3
GRACE_MS: Final = 10_000  # a commit in flight is no divergence (D31)


@dataclass(frozen=True, slots=True)
class Trigger:
    """One thing to watch: its tile's name, and where it is watched."""

    id: str
    label: str
    evidence: tuple[str, ...]

    def tile(self, reason: str | None, ts: int = 0) -> Tile:
        """Its tile: GO when there is nothing to say."""
        verdict: Verdict = "NO_GO" if reason else "GO"
        return Tile(
            id=self.id,
            label=self.label,
            verdict=verdict,
            evidence=self.evidence,
            ts=ts,
            reason=reason,
        )


POSTURE: Final = Trigger(
    "trigger-posture", "Claim posture guard",
    ("config:CLAIM_SCOPE", "config:OC_MODE", "config:OC_STRICT_MODE", "config:SBX_MODE",
     "config:INTENT_QUEUE_PARTITION", "config:SBX_QUEUE_PARTITION"),
)  # fmt: skip
BUDGET: Final = Trigger(
    "trigger-budget", "Budget violations (24 h)", ("sql:app.artifacts#budget_violation_24h",)
)
X1_DRIFT: Final = Trigger(
    "trigger-x1-drift",
    "Doubled side effects (24 h)",
    ("sql:app.mock_receipts#seen_count_gt_1", "sql:app.human_interactions#x1_tuple_dupes"),
)
FRESH_FAILURES: Final = Trigger(
    "trigger-fresh-failures",
    "Failed runs (24 h)",
    ("sql:app.runs#recent_failed_or_retries_exceeded",),
)
DIVERGENCE: Final = Trigger(
    "trigger-divergence",
    "Terminal divergence (24 h)",
    ("sql:app.runs#terminal_divergence", "sql:dbos.workflow_status#terminal_divergence"),
)
FALSE_GREEN: Final = Trigger(
    "trigger-false-green", "False green", ("policy:signoff:mandatory-evidence",)
)
FRESHNESS: Final = Trigger(
    "trigger-freshness", "Freshness of the evidence", ("policy:signoff:max-age-24h",)
)
# Codes of evidence that is not what it says it is, and of evidence that is not of now.
_HOLLOW: Final = frozenset({"E-REF", "E-DIGEST", "E-EMPTY", "E-TILE", "E-REPLAY", "E-JUDGES"})
_TIMES: Final = frozenset({"E-STALE", "E-FUTURE", "E-TIME"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stance:
    """How this process runs, as far as a release may not run otherwise."""

    scope: str
    oc_mode: str
    oc_strict: bool
    sbx_mode: str
    partitioned: bool  # the parents' queue and the children's


@dataclass(frozen=True, slots=True)
class Finding:
    """One suspicious row, by the workflow id of its run; ``ts`` in epoch milliseconds.

    ``said`` is what the row tells beyond that it is there.
    """

    workflow_id: str
    ts: int
    said: str = ""

    @property
    def name(self) -> str:
        """The run, and what is said of it."""
        return f"{self.workflow_id} ({self.said})" if self.said else self.workflow_id


@dataclass(frozen=True, slots=True)
class Standing:
    """A status word and when it was written, in epoch milliseconds."""

    word: str
    ts: int


def posture(stance: Stance) -> Tile:
    """Red for a way to run that proves nothing, each by its word (D33)."""
    return POSTURE.tile("; ".join(_stances(stance)) or None)


def _stances(stance: Stance) -> Iterator[str]:
    if stance.scope == "demo":
        yield "claim_scope_demo"
    elif not stance.oc_strict:
        yield "oc_strict_mode_required"
    if stance.scope == "live-smoke" and stance.oc_mode != "live":
        yield f"oc_mode_{stance.oc_mode}"
    if stance.scope == "live-smoke" and stance.sbx_mode != "live":
        yield f"sbx_mode_{stance.sbx_mode}"
    if not stance.partitioned:
        yield "queue_partition_off"


def count_findings(
    trigger: Trigger, found: Sequence[Finding], declared: Collection[str], what: str
) -> Tile:
    """Red with the exact number of findings that nobody declared, and the first of them."""
    open_ = [each for each in found if each.workflow_id not in declared]
    if not open_:
        return trigger.tile(None)
    named = ", ".join(dict.fromkeys(each.name for each in open_[:SHOWN]))
    return trigger.tile(f"{len(open_)} {what}: {named}", max(each.ts for each in open_))


def divergent(
    app: Mapping[str, Standing], engine: Mapping[str, Standing], now_ms: int
) -> list[Finding]:
    """Runs of which the two schemas tell different ends, both ways, beyond the grace (D31).

    ``app`` and ``engine`` by the id of the run's execution.
    """
    found = []
    for id_, ours in app.items():
        theirs = engine.get(id_)
        ts = max(ours.ts, theirs.ts if theirs else 0)
        if _disagree(ours.word, theirs.word if theirs else None) and ts <= now_ms - GRACE_MS:
            found.append(Finding(id_, ts))
    return found


def _disagree(app: str, engine: str | None) -> bool:
    if engine is None:
        return True
    ours, theirs = OF_APP[app], OF_ENGINE.get(engine)
    if theirs is None:  # a word that nobody knows
        return True
    ends = Rank.TERMINAL in {RANKS[ours], RANKS[theirs]}
    return ends and ours is not theirs


def false_green(proven: Sequence[Tile], against: Sequence[Fault]) -> Tile:
    """Red for evidence that is not what it says it is, by the tiles and references concerned."""
    bare = [tile.id for tile in proven if tile.verdict == "GO" and not tile.evidence]
    names = dict.fromkeys([*bare, *(each.subject for each in against if each.code in _HOLLOW)])
    if not names:
        return FALSE_GREEN.tile(None)
    return FALSE_GREEN.tile(f"mandatory_go_tile_missing_evidence: {', '.join(names)}")


def freshness(evidence_ms: int, against: Sequence[Fault]) -> Tile:
    """Red without evidence, and for evidence that is not of the last 24 hours."""
    odd = [each for each in against if each.code in _TIMES]
    if odd:
        first = odd[0]
        return FRESHNESS.tile(
            f"{len(odd)} out of time: {first.code} {first.subject} {first.text}", evidence_ms
        )
    return FRESHNESS.tile(None if evidence_ms else "no_evidence", evidence_ms)
