"""Repro packs: everything about a run in one canonical document that proves itself.

``meta.sha256`` is the digest of the pack without this field. Cards are computed from a pack as from
a run, so anybody can verify a pack without a database.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.core import cards, proofs, workflows
from engine.core.canon import canonical, digest, reread
from engine.core.cards import UNREADABLE, Card, Pack, Verdict
from engine.core.pointers import resolve_pointer
from engine.core.redaction import is_redacted, redact

SCHEMA_VERSION: Final = 1
# Sections of rows, each with the columns of its key.
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "forks": ("id",),
    "recipeFixtures": ("recipe_id", "v", "fixture_id"),
    "statusHistory": ("id",),
    "runSteps": ("run_id", "step_id", "attempt"),
    "artifacts": ("run_id", "step_id", "task_key", "idx", "attempt"),
    "audits": ("run_id", "step_id", "task_key", "idx", "attempt"),
    "sbxRuns": ("run_id", "step_id", "task_key", "attempt"),
    "sbxSelections": ("run_id", "task_key", "attempt"),
    "opencodeCalls": ("id",),
    "mockReceipts": ("receipt_key",),
    "humanGates": ("run_id", "gate_key"),
    "humanInteractions": ("workflow_id", "gate_key", "topic", "dedupe_key"),
    "patchHistory": ("run_id", "step_id", "patch_index", "attempt"),
}
ENGINE_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "parentStatuses": ("workflow_uuid",),
    "childStatuses": ("workflow_uuid",),
    "parentEvents": ("workflow_uuid", "key"),
    "childEvents": ("workflow_uuid", "key"),
    "eventHistory": ("workflow_uuid", "function_id", "key"),
    "operations": ("workflow_uuid", "function_id"),
    "inputs": ("workflow_uuid",),
    "outputs": ("workflow_uuid",),
    "notifications": ("message_uuid",),
    "streams": ("workflow_uuid", "key", "offset"),
}
# Workflows of the scope that are not children, by their purpose.
KINDS: Final = {
    "repairs": workflows.REPAIR,
    "compensations": workflows.COMPENSATION,
    "escalations": workflows.ESCALATION,
}


class Unreadable(ValueError):
    """The bytes are not a pack."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check: the number of good cards, the differences, the redacted values."""

    holds: int
    differs: tuple[str, ...]
    untold: tuple[str, ...]


def assemble_pack(
    app: Mapping[str, Any], engine: Mapping[str, Any], audits: list[dict[str, Any]], wid: str
) -> dict[str, Any]:
    """The unsealed pack of run ``wid`` from its rows by section (None: no rows)."""
    (run,) = (row for row in app["runs"] if wid in {row["workflow_id"], row["id"]})
    pack = {name: app.get(name) or [] for name in KEYS}
    evals = (app["recipeVersion"] or {"json": {}})["json"].get("eval", [])
    return {
        **pack,
        "run": run,
        "intent": app["intent"],
        "recipeVersion": app["recipeVersion"],
        "evals": evals,
        "audits": audits,
        "forks": [row for row in app["runs"] if row is not run],
        "dbos": _engine(engine, run["workflow_id"]),
    }


def _engine(rows: Mapping[str, Any], wid: str) -> dict[str, Any]:
    def split_section(section: str) -> tuple[list[Any], list[Any]]:
        every = rows[section] or []
        own = [row for row in every if row["workflow_uuid"] == wid]
        return own, [row for row in every if row["workflow_uuid"] != wid]

    (parents, children), (parent_events, child_events) = (
        split_section("statuses"),
        split_section("events"),
    )
    return {
        **{name: rows.get(name) or [] for name in ENGINE_KEYS},
        "workflowScope": rows["workflowScope"] or [],
        "parentStatuses": parents,
        "childStatuses": children,
        "parentEvents": parent_events,
        "childEvents": child_events,
        **{kind: _collect_names(children, name) for kind, name in KINDS.items()},
    }


def _collect_names(rows: list[dict[str, Any]], name: str) -> list[str]:
    return sorted(row["workflow_uuid"] for row in rows if row["name"] == name)


def seal_pack(pack: Mapping[str, Any], secrets: Iterable[str]) -> bytes:
    """The canonical bytes of the pack, without secrets and with its own digest."""
    clean, places = redact({**pack}, secrets)
    if not isinstance(clean, dict):
        raise TypeError("a pack is an object")
    meta: dict[str, Any] = {
        "schemaVersion": SCHEMA_VERSION,
        "runId": pack["run"]["id"],
        "workflowId": pack["run"]["workflow_id"],
        "redacted": [*places],
    }
    body = {**clean, "meta": meta}
    return canonical({**clean, "meta": {**meta, "sha256": digest(body)}})


def check_pack(raw: bytes) -> Checked:
    """Compare a pack with its own rows. Raises Unreadable if it is not a pack."""
    pack = _read(raw)
    faults = [*_form(pack, raw)]
    if shape := [*_shape(pack)]:
        return Checked(0, (*faults, *shape), ())
    try:
        faults += [*_belonging(pack), *_doubles(pack), *_unhidden(pack)]
        made = [card for each in cards.subjects(pack) for card in proofs.of_run(each)]
    except UNREADABLE as error:
        return Checked(0, (*faults, f"rows: {type(error).__name__}: {error}"), ())
    failed = [card for card in made if card.verdict is Verdict.FAIL]
    places = tuple(f"{place}/" for place in pack["meta"]["redacted"])
    untold = [card for card in failed if _is_hidden(card, places)]
    faults += [f"{card.id}: {card.evidence}" for card in failed if card not in untold]
    holds = sum(card.verdict is Verdict.PASS for card in made)
    return Checked(holds, tuple(faults), tuple(card.id for card in untold))


def _is_hidden(card: Card, places: tuple[str, ...]) -> bool:
    """Whether a value of the card was redacted."""
    return any(hidden.startswith(f"{place}/") for place in card.places for hidden in places)


def _read(raw: bytes) -> Any:
    try:
        pack = reread(raw.decode())
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"no JSON: {error}") from error
    meta = pack.get("meta") if isinstance(pack, dict) else None
    if not isinstance(meta, dict) or not isinstance(meta.get("sha256"), str):
        raise Unreadable("no repro pack: it has no meta.sha256")
    return pack


def _form(pack: Pack, raw: bytes) -> Iterator[str]:
    """Faults of the bytes and of the seal."""
    meta = {name: value for name, value in pack["meta"].items() if name != "sha256"}
    try:
        made, form = digest({**pack, "meta": meta}), canonical(dict(pack))
    except ValueError as error:
        yield f"canonical form: {error}"
        return
    if form != raw:
        yield "canonical form: the bytes are not those of the values"
    if pack["meta"]["sha256"] != made:
        yield f"meta.sha256: {pack['meta']['sha256']}, the body hashes to {made}"
    if meta.get("schemaVersion") != SCHEMA_VERSION:
        yield f"meta.schemaVersion: {meta.get('schemaVersion')}, this code knows {SCHEMA_VERSION}"


def _shape(pack: Pack) -> Iterator[str]:
    """Find sections that are missing or have another shape."""
    engine = pack.get("dbos")
    yield from _missing("", pack, ("run", "intent", "recipeVersion", "dbos"), dict)
    yield from _missing("", pack, (*KEYS, "evals"), list)
    yield from _missing("/meta", pack["meta"], ("redacted",), list)
    if isinstance(engine, dict):
        yield from _missing("/dbos", engine, (*ENGINE_KEYS, *KINDS, "workflowScope"), list)


def _missing(place: str, of: Pack, names: Iterable[str], kind: type) -> Iterator[str]:
    for name in names:
        if not isinstance(of.get(name), kind):
            yield f"{place}/{name}: no {'list' if kind is list else 'object'}"


def _belonging(pack: Pack) -> Iterator[str]:
    """Find rows of another run, and workflows that the scope omits or names without rows."""
    run, engine = pack["run"], pack["dbos"]
    if (pack["meta"].get("runId"), pack["meta"].get("workflowId")) != (
        run["id"], run["workflow_id"],
    ):  # fmt: skip
        yield "meta: of another run"
    scope = set(engine["workflowScope"])
    family = {run["id"], *(row["id"] for row in pack["forks"])}
    for name, columns in KEYS.items():
        owners = family | scope if name == "audits" else family
        if "run_id" in columns and {row["run_id"] for row in pack[name]} - owners:
            yield f"/{name}: rows of another run"
    known = [row["workflow_uuid"] for row in (*engine["parentStatuses"], *engine["childStatuses"])]
    if sorted(known) != sorted(scope) or len(scope) != len(engine["workflowScope"]):
        yield "/dbos/workflowScope: not the workflows whose rows are there"
    for name, columns in ENGINE_KEYS.items():
        if "workflow_uuid" in columns and {row["workflow_uuid"] for row in engine[name]} - scope:
            yield f"/dbos/{name}: rows of workflows out of scope"


def _unhidden(pack: Pack) -> Iterator[str]:
    """Find places in ``meta.redacted`` that are not redacted; they could hide a change."""
    for place in pack["meta"]["redacted"]:
        if not is_redacted(resolve_pointer(pack, place)):
            yield f"meta.redacted: nothing was taken out at {place}"


def _doubles(pack: Pack) -> Iterator[str]:
    """Find rows that have the same key."""
    sections = [(f"/{name}", pack[name], columns) for name, columns in KEYS.items()]
    for name, columns in ENGINE_KEYS.items():
        sections.append((f"/dbos/{name}", pack["dbos"][name], columns))
    for place, rows, columns in sections:
        keys = Counter(json.dumps([row[column] for column in columns]) for row in rows)
        yield from (f"{place}: {key} is there {n} times" for key, n in keys.items() if n > 1)
