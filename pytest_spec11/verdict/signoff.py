"""The sign-off: the verdict as a document, with tiles, posture, evidence and limits.

It is pure, like the judge: it only restates what the judge found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final

from pytest_spec11.evidence import merkle
from pytest_spec11.evidence.bundle import JournalFile, Sight
from pytest_spec11.evidence.documents import Document
from pytest_spec11.evidence.kept_runs import KeptRun
from pytest_spec11.judge.case import Case, Verdict
from pytest_spec11.judge.flakes import count_runs
from pytest_spec11.judge.reasons import Reason, Trait, codes_with
from pytest_spec11.requirements.catalogue import Tile
from pytest_spec11.verdict.weakenings import Weakenings

NAME: Final = "spec11/signoff/1"
STRENGTH: Final = "E-WEAK-ORACLE"
_UNTRUSTED: Final = codes_with(Trait.UNTRUSTED)

Ref = dict[str, Any]


@dataclass(frozen=True)
class Signoff:
    """One verdict, ready to write."""

    case: Case
    verdict: Verdict
    weakenings: Weakenings

    def document(self) -> dict[str, Any]:
        """The whole document without the sum that seals it."""
        terms, verdict = self.case.terms, self.verdict
        pf_tiles, proof_tiles = list(self._pf_tiles()), list(self._proof_tiles())
        return {
            "schema": NAME,
            "verdict": verdict.verdict,
            "scope": terms.scope,
            "rehearsal": terms.policy.rehearsal,
            "judgedAt": terms.now_ms,
            "ts": max((tile["ts"] for tile in (*pf_tiles, *proof_tiles)), default=0),
            "binding": dict(terms.here or {}),
            "posture": dict(self._first.start.get("posture", {})) if self._first else {},
            "pfTiles": pf_tiles,
            "proofTiles": proof_tiles,
            "claims": dict(verdict.claims),
            "reasons": [asdict(each) for each in verdict.reasons],
            "notClaimed": [each for each in verdict.claims if each not in verdict.needed],
            "shards": sorted(terms.shards.union(terms.policy.shards)),
            "mergeBase": self.weakenings.base,
            "weakenings": list(self.weakenings.sentences),
            "evidence": self._evidence(),
            "kept": self._list_kept_runs(),
        }

    @cached_property
    def _leaves(self) -> list[JournalFile]:
        """Journals in the order of their records' leaves in the Merkle tree."""
        return sorted(self.case.bundle.leaves, key=lambda leaf: (leaf.run, leaf.role, leaf.name))

    @property
    def _first(self) -> JournalFile | None:
        return next(iter(self._leaves), None)

    @cached_property
    def _first_distrust(self) -> Reason | None:
        """The first reason against the evidence as a whole."""
        return next((each for each in self.verdict.reasons if each.code in _UNTRUSTED), None)

    def _evidence(self) -> dict[str, Any]:
        documents = sorted(self.case.bundle.documents, key=lambda each: each.path.name)
        journals = [_journal(leaf) for leaf in self._leaves]
        roots = [each["root"] for each in journals] + [each.sha256 for each in documents]
        return {
            "root": merkle.root(map(bytes.fromhex, roots)),
            "records": sum(each["records"] for each in journals),
            "journals": journals,
            "documents": [_paper(each) for each in documents],
        }

    def _list_kept_runs(self) -> dict[str, Any]:
        """The other runs of this tree that the gate read, and the number of runs."""
        return {**asdict(count_runs(self.case)), "looked": [*map(_kept_run, self.case.kept)]}

    def _proof_tiles(self) -> Iterator[dict[str, Any]]:
        for tile in self.case.catalogue.tiles:
            needed = [claim for claim in tile.claims if claim in self.verdict.needed]
            refs = [*self._journals_of(needed), *self._blobs_of(needed)]
            refs += [_reference_document(each) for each in self.case.bundle.kills if tile.kills]
            yield self._tile(tile.id, needed, self._against(tile, needed), refs)

    def _against(self, tile: Tile, needed: Sequence[str]) -> str:
        """Why a tile is not GO; empty if it is GO."""
        if self._first_distrust is not None:
            return _words(self._first_distrust)
        if not needed:
            return "no claim of this tile is needed"
        open_ = [claim for claim in needed if self.verdict.claims[claim] != "PASS"]
        subjects = {each.subject: each for each in reversed(self.verdict.reasons)}
        if open_:
            found = subjects.get(open_[0])
            return _words(found) if found else f"{open_[0]} is not proven"
        weak = [each for each in self.verdict.reasons if each.code == STRENGTH]
        return _words(weak[0]) if tile.kills and weak else ""

    def _pf_tiles(self) -> Iterator[dict[str, Any]]:
        for lane in self.case.catalogue.lanes:
            id_ = f"pf-{lane}"
            records = self.case.bundle.lanes.get(lane, ())
            against = [each for each in self.verdict.reasons if self._is_about(each, id_, records)]
            yield self._tile(
                id_, [], _words(against[0]) if against else "", map(_reference_document, records)
            )

    def _is_about(self, reason: Reason, tile: str, records: Sequence[Document]) -> bool:
        """Whether a reason is about a lane, its record, its tree or its log."""
        names = {each.name for each in records}
        whole = reason.code in _UNTRUSTED and reason.subject == "here"
        return whole or reason.subject in {tile, *names} or any(n in reason.text for n in names)

    def _tile(
        self, id_: str, claims: Collection[str], against: str, refs: Iterator[Ref] | list[Ref]
    ) -> dict[str, Any]:
        found, here = list(refs), self.case.terms.here or {}
        against = against or ("" if found else "nothing refers to this tile")
        ends = [self._times[ref["ref"]] for ref in found if ref["ref"] in self._times]
        return {
            "id": id_,
            "label": id_.replace("-", " "),
            "verdict": "NO_GO" if against else "GO",
            "reason": against,
            "claims": list(claims),
            "evidence": found,
            "startedAt": min((begin for begin, _ in ends), default=0),
            "ts": max((end for _, end in ends), default=0),
            "commit": str(here.get("commit", "")),
            "tree": str(here.get("tree", "")),
            "appVersion": str(here.get("appVersion") or self._version),
        }

    @property
    def _version(self) -> str:
        """The version under test as the evidence states it, if the tree does not."""
        return str(self._first.binding.get("appVersion", "")) if self._first else ""

    @cached_property
    def _times(self) -> Mapping[str, tuple[int, int]]:
        """Begin and end of each journal and document, by its name, in epoch milliseconds."""
        found = {
            leaf.name: (leaf.reading.times.first, leaf.reading.times.last)
            for leaf in self._leaves
            if leaf.reading.times
        }
        found |= {
            each.name: (each.data["startedAt"], each.data["finishedAt"])
            for each in self.case.documents
        }
        return found

    def _journals_of(self, claims: Sequence[str]) -> list[Ref]:
        """The journals in which tests of these claims ended."""
        bundle = self.case.bundle
        nodes = {node for claim in claims for node in bundle.nodes.get(claim, ())}
        names = {name for node in nodes for name in bundle.homes.get(node, ())}
        return [
            {"kind": "journal", "ref": leaf.name, "sha256": leaf.reading.sha256}
            for leaf in self._leaves
            if leaf.name in names
        ]

    def _blobs_of(self, claims: Sequence[str]) -> Iterator[Ref]:
        """One sight of every source for each of these claims, if its bytes were kept."""
        for claim in claims:
            seen: set[str] = set()
            for node in self.case.bundle.nodes.get(claim, ()):
                for source, sight in self.case.bundle.sights.get(node, {}).items():
                    if sight is not None and source not in seen:
                        seen.add(source)
                        yield _blob(sight) | {"claim": claim, "source": source}


def _words(reason: Reason) -> str:
    return f"{reason.code} {reason.subject}: {reason.text}"


def _blob(sight: Sight) -> Ref:
    return {"kind": "blob", "ref": sight.ref, "sha256": sight.sha256, "bytes": sight.size}


def _journal(leaf: JournalFile) -> dict[str, Any]:
    times = leaf.reading.times
    return {
        "ref": leaf.name,
        "run": leaf.run,
        "nonce": str(leaf.start.get("nonce", "")),
        "role": leaf.role,
        "shard": str(leaf.start.get("shard", "")),
        "records": leaf.reading.records,
        "sha256": leaf.reading.sha256,
        "root": leaf.reading.root,
        "startedAt": times.first if times else 0,
        "finishedAt": times.last if times else 0,
    }


def _kept_run(run: KeptRun) -> dict[str, Any]:
    return {
        "ref": run.name,
        "journals": [each._asdict() for each in run.journals],
        "red": [{"node": each.node, "word": each.word} for each in run.reds.values()],
        "damage": run.damage,
    }


def _reference_document(document: Document) -> Ref:
    return {
        "kind": document.kind,
        "ref": document.name,
        "sha256": document.sha256,
        "bytes": document.size,
    }


def _paper(document: Document) -> dict[str, Any]:
    return {key: value for key, value in _reference_document(document).items() if key != "kind"}
