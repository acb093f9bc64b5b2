"""The engine's own look at a sign-off: whole, of this release, of late, its evidence there.

It shares no code with the gate that wrote it (D32): what one of the two overlooks, the other finds.
Codes are the gate's, so that both name the same fault by the same word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Literal

PF_TILES: Final = tuple(
    f"pf-{name}" for name in ("quick", "check", "full", "deps", "policy", "crashdemo")
)
PROOF_TILES: Final = (
    "proof-api-run-idem", "proof-api-run-drift", "proof-malformed-400", "proof-x1-audit",
    "proof-split-parity", "proof-hitl-dedupe", "proof-queue-fairness", "proof-budget-guard",
    *(f"proof-s{number:02}" for number in range(16)),
    "proof-load", "proof-oracle-strength",
)  # fmt: skip
Verdict = Literal["GO", "NO_GO"]
MAX_AGE_MS: Final = 24 * 3600 * 1000
SKEW_MS: Final = 120 * 1000
NOTHING: Final = sha256(b"").hexdigest()
MISSING: Final = "missing signoff results"


@dataclass(frozen=True, slots=True)
class Fault:
    """Why this is no GO: the gate's code, what it is about, and a sentence."""

    code: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What is to be released, as this process was told. None: nobody said."""

    commit: str | None
    tree: str | None
    app_version: str
    scope: str


@dataclass(frozen=True, slots=True)
class Sight:
    """What is found where a reference leads. ``problem`` is why nothing is."""

    sha256: str = ""
    size: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One square of the board; ``evidence`` are references in words."""

    id: str
    label: str
    verdict: Verdict
    evidence: tuple[str, ...]
    ts: int
    reason: str | None = None
    commit: str | None = None
    tree: str | None = None
    app_version: str | None = None


def references(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Every reference of a sign-off: of its tiles, its journals, its documents."""
    evidence = document["evidence"]
    tiles = (*document["pfTiles"], *document["proofTiles"])
    of_tiles = [ref for tile in tiles for ref in tile["evidence"]]
    return [*evidence["journals"], *evidence["documents"], *of_tiles]


def faults(
    document: Mapping[str, Any], release: Release, now_ms: int, sights: Mapping[str, Sight]
) -> list[Fault]:
    """All that speaks against a sign-off of the right shape; ``sights`` by reference."""
    return [
        *_check_verdict(document),
        *_check_binding(document, release),
        *_check_tiles(document),
        *_check_times(document, now_ms),
        *_check_references(references(document), sights),
    ]


def _check_verdict(document: Mapping[str, Any]) -> Iterator[Fault]:
    for each in document["reasons"]:
        yield Fault(each["code"], each["subject"], each["text"])


def _check_binding(document: Mapping[str, Any], release: Release) -> Iterator[Fault]:
    binding = document["binding"]
    told = [
        ("E-COMMIT", "commit", release.commit),
        ("E-TREE", "tree", release.tree),
        ("E-APPVERSION", "appVersion", release.app_version),
    ]
    for code, name, wanted in told:
        if not wanted:
            yield Fault("E-BINDING", name, f"this process was not told the {name} to be released")
        elif not binding.get(name):
            yield Fault("E-BINDING", name, f"the sign-off names no {name}")
        elif binding[name] != wanted:
            yield Fault(code, name, f"is {binding[name]}, to be released is {wanted}")
    if binding.get("dirty") is not False:
        yield Fault("E-DIRTY", "tree", "had uncommitted changes")
    if document["scope"] != release.scope:
        yield Fault(
            "E-SCOPE", "scope", f"is {document['scope']}, but the release needs {release.scope}"
        )


def _check_tiles(document: Mapping[str, Any]) -> Iterator[Fault]:
    for name, wanted in (("pfTiles", PF_TILES), ("proofTiles", PROOF_TILES)):
        ids = tuple(tile["id"] for tile in document[name])
        if ids != wanted:
            yield Fault("E-TILE", name, "are not the tiles of a release, in their order")
        for tile in document[name]:
            yield from _check_tile(tile, document["binding"])


def _check_tile(tile: Mapping[str, Any], binding: Mapping[str, Any]) -> Iterator[Fault]:
    id_ = tile["id"]
    if tile["verdict"] == "GO" and not tile["evidence"]:
        yield Fault("E-REF", id_, "says GO and refers to nothing")
    codes = {"commit": "E-COMMIT", "tree": "E-TREE", "appVersion": "E-APPVERSION"}
    for name, code in codes.items():
        if tile["verdict"] == "GO" and tile[name] != binding.get(name):
            yield Fault(code, id_, f"its {name} is {tile[name] or 'missing'}")


def _check_times(document: Mapping[str, Any], now_ms: int) -> Iterator[Fault]:
    for each in document["evidence"]["journals"]:
        yield from _window(each["ref"], each["startedAt"], each["finishedAt"], now_ms)
    for tile in (*document["pfTiles"], *document["proofTiles"]):
        if tile["verdict"] == "GO":
            yield from _window(tile["id"], tile["startedAt"], tile["ts"], now_ms)


def _window(subject: str, start: int, end: int, now_ms: int) -> Iterator[Fault]:
    if not start or not end or end < start:
        yield Fault("E-TIME", subject, "has no beginning and end in this order")
    elif end > now_ms + SKEW_MS:
        yield Fault("E-FUTURE", subject, f"ends {(end - now_ms) // 1000} s from now")
    elif start < now_ms - MAX_AGE_MS:
        yield Fault("E-STALE", subject, f"began {(now_ms - start) // 1000} s ago")


def _check_references(
    refs: Iterable[Mapping[str, Any]], sights: Mapping[str, Sight]
) -> Iterator[Fault]:
    for name, digest in dict.fromkeys((ref["ref"], ref["sha256"]) for ref in refs):
        sight = sights[name]
        if digest == NOTHING:
            yield Fault("E-EMPTY", name, "is the digest of nothing")
        elif sight.problem:
            yield Fault("E-REF", name, sight.problem)
        elif not sight.size:
            yield Fault("E-EMPTY", name, "is empty")
        elif sight.sha256 != digest:
            yield Fault("E-DIGEST", name, f"is {sight.sha256}, was {digest}")


def tiles(
    found: Sequence[Mapping[str, Any]], wanted: Sequence[str], against: Sequence[Fault]
) -> tuple[Tile, ...]:
    """The tiles of ``wanted`` in their order; one that is missing, or accused, is NO_GO."""
    known = {tile["id"]: tile for tile in reversed(found)}
    return tuple(_judge_tile(id_, known.get(id_), against) for id_ in wanted)


def _judge_tile(id_: str, tile: Mapping[str, Any] | None, against: Sequence[Fault]) -> Tile:
    if tile is None:
        return Tile(id=id_, label=id_, verdict="NO_GO", evidence=(), ts=0, reason=MISSING)
    names = {ref["ref"] for ref in tile["evidence"]} | {id_}
    accused = next((each for each in against if each.subject in names), None)
    reason = tile["reason"] or (f"{accused.code}: {accused.text}" if accused else None)
    return Tile(
        id=id_,
        label=tile["label"],
        verdict="NO_GO" if reason else tile["verdict"],
        evidence=tuple(f"{ref['kind']}:{ref['ref']}#{ref['sha256']}" for ref in tile["evidence"]),
        ts=tile["ts"],
        reason=reason,
        commit=tile["commit"] or None,
        tree=tile["tree"] or None,
        app_version=tile["appVersion"] or None,
    )
