"""The second judge (D32): checks the gate's sign-off by code of its own, and the live triggers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.contracts.signoff import fault
from engine.core import signoff, triggers
from engine.core.canon import canonical, digest
from engine.core.signoff import Fault, Release, Sight, Tile, Verdict
from engine.core.triggers import Finding, Stance
from engine.ports.evidence import Astray, Evidence
from engine.store import signoff as store
from engine.store.pool import Pool
from engine.store.signoff import Live

NO_EVIDENCE: Final = "E-NO-EVIDENCE"
_BARE: Final[dict[str, Any]] = {
    "pfTiles": [],
    "proofTiles": [],
    "evidence": {"journals": [], "documents": []},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The verdict with its tiles, triggers and reasons."""

    verdict: Verdict
    pf_tiles: tuple[Tile, ...]
    proof_tiles: tuple[Tile, ...]
    triggers: tuple[Tile, ...]
    reasons: tuple[Fault, ...]
    ts: int


@dataclass(frozen=True, slots=True)
class _File:
    """The file of the sign-off: its document, or what is wrong with it."""

    document: Mapping[str, Any] | None
    wrong: tuple[Fault, ...]
    sights: Mapping[str, Sight]
    declared: frozenset[str]


@dataclass(frozen=True, slots=True)
class Signoff:
    """The sign-off of one release. Each call judges it again; nothing is cached."""

    evidence: Evidence
    release: Release
    stance: Stance

    async def board(self, pool: Pool) -> Board:
        """The board at this moment, by the database's clock."""
        async with pool.connection() as tx:
            live = await store.live(tx)
        file = await asyncio.to_thread(_read, self.evidence)
        return self._judge_file(file, live)

    def _judge_file(self, file: _File, live: Live) -> Board:
        document, against = file.document or _BARE, [*file.wrong]
        if file.document is not None:
            against += signoff.faults(file.document, self.release, live.now_ms, file.sights)
        pf_tiles = signoff.tiles(document["pfTiles"], signoff.PF_TILES, against)
        proof_tiles = signoff.tiles(document["proofTiles"], signoff.PROOF_TILES, against)
        ts = max((tile.ts for tile in (*pf_tiles, *proof_tiles)), default=0)
        watched = self._judge_triggers((*pf_tiles, *proof_tiles), against, live, file.declared, ts)
        reasons = (*against, *_find_red_triggers((*pf_tiles, *proof_tiles), watched, against))
        go = document.get("verdict") == "GO" and not reasons
        return Board(
            verdict="GO" if go else "NO_GO",
            pf_tiles=pf_tiles,
            proof_tiles=proof_tiles,
            triggers=watched,
            reasons=reasons,
            ts=ts,
        )

    def _judge_triggers(
        self,
        proven: tuple[Tile, ...],
        against: list[Fault],
        live: Live,
        declared: frozenset[str],
        ts: int,
    ) -> tuple[Tile, ...]:
        apart = [
            Finding(live.runs[each.workflow_id], each.ts)
            for each in triggers.divergent(live.app, live.engine, live.now_ms)
        ]
        return (
            triggers.posture(self.stance),
            triggers.count_findings(triggers.BUDGET, live.budget, declared, "budget violations"),
            triggers.count_findings(triggers.X1_DRIFT, live.doubled, (), "doubled side effects"),
            triggers.count_findings(
                triggers.FRESH_FAILURES, live.failures, declared, "failed runs"
            ),
            triggers.count_findings(triggers.DIVERGENCE, apart, declared, "divergent runs"),
            triggers.false_green(proven, against),
            triggers.freshness(ts, against),
        )


def _find_red_triggers(
    proven: tuple[Tile, ...], watched: tuple[Tile, ...], against: list[Fault]
) -> Iterator[Fault]:
    """Red triggers, and red tiles of a sign-off without another fault."""
    for tile in () if against else proven:
        if tile.verdict != "GO":
            yield Fault("E-TILE", tile.id, tile.reason or "is red")
    for tile in watched:
        if tile.verdict != "GO":
            yield Fault("E-TRIGGER", tile.id, tile.reason or "is red")


def _read(evidence: Evidence) -> _File:
    """Read the file and everything that it refers to, once."""
    document, wrong = load_document(evidence)
    if document is None:
        return _File(None, (wrong,) if wrong else (), {}, frozenset())
    names = dict.fromkeys(ref["ref"] for ref in signoff.references(document))
    sights = {name: evidence.sight(name) for name in names}
    return _File(document, (), sights, _find_declared(evidence, document, sights))


def load_document(evidence: Evidence) -> tuple[Mapping[str, Any] | None, Fault | None]:
    """The sealed sign-off, or what is wrong with it."""
    name = "signoff.json"
    try:
        content = evidence.signoff()
        if content is None:
            return None, Fault(NO_EVIDENCE, name, signoff.MISSING)
        document = json.loads(content)
        if wrong := fault(document):
            return None, Fault("E-TILE", name, wrong)
        bare = {key: value for key, value in document.items() if key != "sum"}
        if canonical(document) + b"\n" != content or digest(bare) != document["sum"]:
            return None, Fault("E-TILE", name, "was changed after it was sealed")
    except (Astray, OSError) as error:
        return None, Fault("E-REF", name, str(error))
    except (ValueError, RecursionError):
        return None, Fault("E-TILE", name, "is no JSON")
    return document, None


def _find_declared(
    evidence: Evidence, document: Mapping[str, Any], sights: Mapping[str, Sight]
) -> frozenset[str]:
    """The workflows whose result a passed test declares as provoked (D30)."""
    found: set[str] = set()
    for journal in document["evidence"]["journals"]:
        if sights[journal["ref"]].sha256 == journal["sha256"]:
            found |= _read_provocations(evidence, journal["ref"])
    return frozenset(found)


def _read_provocations(evidence: Evidence, ref: str) -> set[str]:
    told: dict[str, set[str]] = {}
    passed: set[str] = set()
    for record in evidence.records(ref):
        data = record.get("data") or {}
        if record.get("kind") == "provocation":
            told.setdefault(str(data.get("node")), set()).add(str(data.get("workflowId")))
        elif record.get("kind") == "outcome" and data.get("outcome") == "passed":
            passed.add(str(data.get("node")))
    return {wid for node, wids in told.items() if node in passed for wid in wids}
