"""A sign-off with its evidence on disk, as whole as the gate writes one, for a test to spoil."""

from __future__ import annotations

import time
from hashlib import sha256
from pathlib import Path
from typing import Any

from engine.core.canon import canonical, digest
from engine.core.signoff import PF_TILES, PROOF_TILES

COMMIT, TREE = "c" * 40, "7" * 64
PROVOKED = "ih_provoked"
OUTCOMES = (("scenarios/a.py::test_red", "passed"), ("scenarios/a.py::test_sad", "failed"))


def whole(root: Path, *, now_ms: int | None = None) -> dict[str, Any]:
    """The document of a GO whose one journal lies below ``root``."""
    now = now_ms or time.time_ns() // 1_000_000
    (root / "run").mkdir(parents=True, exist_ok=True)
    (root / "run/journal-main.ndjson").write_bytes(_journal())
    content = (root / "run/journal-main.ndjson").read_bytes()
    ref = {
        "kind": "journal",
        "ref": "run/journal-main.ndjson",
        "sha256": sha256(content).hexdigest(),
        "bytes": len(content),
    }
    binding = {
        **dict.fromkeys(("catalogue", "lock", "platform", "plugin", "policy", "python"), "x"),
        "appVersion": "v1", "commit": COMMIT, "tree": TREE, "scope": "signoff", "dirty": False,
    }  # fmt: skip
    tiles = {id_: _tile(id_, ref, now) for id_ in (*PF_TILES, *PROOF_TILES)}
    return {
        "schema": "spec11/signoff/1", "verdict": "GO", "scope": "signoff", "rehearsal": True,
        "judgedAt": now, "ts": now - 1000, "binding": binding, "posture": {},
        "pfTiles": [tiles[id_] for id_ in PF_TILES],
        "proofTiles": [tiles[id_] for id_ in PROOF_TILES],
        "claims": {"S00.stack-answers": "PASS"}, "reasons": [], "notClaimed": [], "shards": [],
        "mergeBase": "", "weakenings": [], "kept": {"runs": 1, "green": 1, "looked": []},
        "evidence": {
            "root": "0" * 64, "records": 2, "documents": [],
            "journals": [{
                "ref": ref["ref"], "run": "run", "nonce": "n", "role": "main", "shard": "",
                "records": 2, "sha256": ref["sha256"], "root": "0" * 64,
                "startedAt": now - 60_000, "finishedAt": now - 1000,
            }],
        },
    }  # fmt: skip


def _tile(id_: str, ref: dict[str, Any], now: int) -> dict[str, Any]:
    return {
        "id": id_, "label": id_, "verdict": "GO", "reason": "", "claims": ["S00.stack-answers"],
        "evidence": [dict(ref)], "startedAt": now - 60_000, "ts": now - 1000,
        "commit": COMMIT, "tree": TREE, "appVersion": "v1",
    }  # fmt: skip


def _journal() -> bytes:
    records: list[Any] = []
    for node, outcome in OUTCOMES:
        wid = f"{PROVOKED}_{outcome}"
        records.append({"kind": "provocation", "data": {"node": node, "workflowId": wid}})
        records.append({"kind": "outcome", "data": {"node": node, "outcome": outcome}})
    return b"".join(canonical(each) + b"\n" for each in records)


def write(root: Path, document: dict[str, Any]) -> None:
    """``document``, sealed, is the sign-off below ``root``."""
    bare = {key: value for key, value in document.items() if key != "sum"}
    content = canonical({**bare, "sum": digest(bare)}) + b"\n"
    (root / "signoff.json").write_bytes(content)
