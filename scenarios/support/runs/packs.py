"""Repro packs: how to read them, and the prover's own checks of their bytes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from pytest_spec11.canon import canonical, digest
from pytest_spec11.oracles.http import Api
from scenarios.support.contract import identity

TEXTS = frozenset({"text", "stdout", "stderr", "file", "svg", "none"})
# The key of the rows of each section.
KEYS = {
    "runSteps": ("run_id", "step_id", "attempt"),
    "artifacts": ("run_id", "step_id", "task_key", "idx", "attempt"),
    "audits": ("run_id", "task_key"),
    "sbxRuns": ("run_id", "step_id", "task_key", "attempt"),
    "sbxSelections": ("run_id", "task_key", "attempt"),
    "opencodeCalls": ("id",),
    "mockReceipts": ("receipt_key",),
    "humanGates": ("run_id", "gate_key"),
    "humanInteractions": ("run_id", "gate_key"),
    "patchHistory": ("run_id", "step_id", "patch_index", "attempt"),
    "statusHistory": ("id",),
    "forks": ("id",),
}
Pack = dict[str, Any]


def pack(api: Api, wid: str) -> bytes:
    """The bytes that the API serves as the run's pack."""
    answer = api.get(f"/api/runs/{wid}/repro")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    return answer.body


def cards(api: Api, wid: str) -> list[dict[str, Any]]:
    """The run's proof cards."""
    answer = api.get(f"/api/runs/{wid}/proofs")
    assert answer.status == 200
    found: list[dict[str, Any]] = answer.json()
    return found


def seal_pack(pack: Mapping[str, Any]) -> bytes:
    """The bytes of a pack with the right digest of its present body."""
    body = {**pack, "meta": {k: v for k, v in pack["meta"].items() if k != "sha256"}}
    return canonical({**body, "meta": {**body["meta"], "sha256": digest(body)}})


def faults(raw: bytes) -> list[str]:
    """The faults that the bytes alone show, each by its section."""
    try:
        found = json.loads(raw)
        if canonical(found) != raw or seal_pack(found) != raw:
            return ["bytes"]
        return sorted({*_identity(found), *_digests(found), *_doubles(found), *_times(found)})
    except (LookupError, TypeError, ValueError, AttributeError):
        return ["bytes"]


def _identity(pack: Pack) -> Iterator[str]:
    run, made = pack["run"], digest(pack["intent"]["json"])
    wid = f"ih_{made}"
    wanted = {"workflow_id": wid, "intent_hash": made, "id": identity.run_id(wid)}
    if {name: run[name] for name in wanted} != wanted or pack["intent"]["id"] != wid:
        yield "intent"
    if pack["meta"] != pack["meta"] | {"workflowId": wid, "runId": run["id"]}:
        yield "meta"
    recipe = pack["recipeVersion"]
    if not digest(recipe["json"]) == recipe["hash"] == run["recipe_hash"]:
        yield "recipeVersion"


def _digests(pack: Pack) -> Iterator[str]:
    for section in ("artifacts", "audits"):
        if any(hash_content(_content(row)) != row["sha256"] for row in pack[section]):
            yield section
    for row in pack["humanInteractions"]:
        if digest(row["payload"]) != row["payload_hash"]:
            yield "humanInteractions"
    for row in pack["patchHistory"]:
        before = row["preimage_content"]
        was = None if before is None else hash_content(bytes.fromhex(before[2:]))
        made = hash_content(row["postimage_content"].encode())
        if (was, made) != (row["preimage_hash"], row["postimage_hash"]):
            yield "patchHistory"


def _doubles(pack: Pack) -> Iterator[str]:
    for section, names in KEYS.items():
        keys = Counter(tuple(row[name] for name in names) for row in pack[section])
        if max(keys.values(), default=1) > 1:
            yield section
    family = {pack["run"]["id"], *(row["id"] for row in pack["forks"])}
    for section in ("runSteps", "artifacts", "patchHistory", "humanGates"):
        if {row["run_id"] for row in pack[section]} - family:
            yield section
    engine = pack["dbos"]
    known = [row["workflow_uuid"] for row in engine["parentStatuses"] + engine["childStatuses"]]
    if sorted(known) != engine["workflowScope"]:
        yield "dbos"


def _times(pack: Pack) -> Iterator[str]:
    run = pack["run"]
    for row in pack["runSteps"]:
        own = row["run_id"] == run["id"]
        begun = [run["created_at"]] if own else []
        ended = [run["updated_at"]] if own else []
        if not _is_ordered(*begun, row["started_at"], row["finished_at"], *ended):
            yield "runSteps"
    for row in pack["patchHistory"]:
        if not _is_ordered(row["created_at"], row["applied_at"], row["rolled_back_at"]):
            yield "patchHistory"


def _is_ordered(*times: str | None) -> bool:
    moments = [datetime.fromisoformat(each) for each in times if each is not None]
    return moments == sorted(moments)


def _content(row: Mapping[str, Any]) -> bytes:
    """The bytes under an artifact's digest."""
    inline = row["inline"]
    return str(inline["text"]).encode() if row["kind"] in TEXTS else canonical(inline)


def hash_content(content: bytes) -> str:
    """sha256, 64 hex digits."""
    return sha256(content).hexdigest()


def to_json_rows(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as JSON has them."""
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            text = value.astimezone(UTC).isoformat()
            whole, point, rest = text.removesuffix("+00:00").partition(".")
            rest = rest.rstrip("0")
            return f"{whole}{point if rest else ''}{rest}+00:00"
        case bytes():
            return f"\\x{value.hex()}"
        case UUID():
            return str(value)
        case _:
            return value
