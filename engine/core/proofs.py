"""Proof cards: what is claimed of a run, computed again from its rows (D24).

Pure: rows in, cards out. No card believes a hash or a word that can be made again from the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

from engine.core import artifacts, cards, identity, runs
from engine.core.canon import canonical, digest
from engine.core.cards import Card, Finding, Row, Source, Subject, Verdict

BUDGET: Final = "BUDGET"


def of_run(of: Subject) -> list[Card]:
    """Every card of a run: who it is, where it stands, then what it left, in the order it came."""
    return [card for make in MAKERS for card in make(of)]


def _identity(of: Subject) -> Iterator[Card]:
    intent = of.pack["intent"]

    def check() -> Finding:
        made = identity.intent_hash(intent["json"])
        wid = identity.workflow_id(made) if of.run["forked_from"] is None else of.wid
        told = {
            "intents.intent_hash": (intent["intent_hash"], made),
            "intents.id": (intent["id"], identity.workflow_id(made)),
            "runs.intent_hash": (of.run["intent_hash"], made),
            "runs.workflow_id": (of.wid, wid),
            "runs.id": (of.run["id"], identity.run_id(of.wid)),
        }
        return cards.same(f"the intent hashes to {made}", told)

    yield Card(
        id=f"proof-{of.wid}-identity",
        claim="Intent identity",
        **cards.view_check(check),
        source=Source.SQL,
        ts=cards.ms(intent["created_at"]),
        provenance="app.intents.json app.runs.intent_hash",
        raw_ref=of.url,
        places=("/intent", of.place),
    )


def _recipe(of: Subject) -> Iterator[Card]:
    recipe = of.pack["recipeVersion"]

    def check() -> Finding:
        made = digest(recipe["json"])
        told = {
            "recipe_versions.hash": (recipe["hash"], made),
            "runs.recipe_hash": (of.run["recipe_hash"], made),
        }
        return cards.same(f"{recipe['id']}@{recipe['v']} hashes to {made}", told)

    yield Card(
        id=f"proof-{of.wid}-recipe",
        claim="Pinned recipe",
        **cards.view_check(check),
        source=Source.POLICY,
        ts=cards.ms(recipe["created_at"]),
        provenance="app.recipe_versions.json app.runs.recipe_hash",
        raw_ref=f"/api/recipes/{quote(str(recipe['id']), safe='')}/versions",
        places=("/recipeVersion", of.place),
    )


def _app_status(of: Subject) -> Iterator[Card]:
    history = [*of.rows("statusHistory")]

    def check() -> Finding:
        last = history[-1][1]["status"] if history else runs.RunState.QUEUED
        told = {"its last word in app.status_history": (last, of.run["status"])}
        return cards.same(f"app says {of.run['status']}", told)

    yield Card(
        id=f"proof-{of.wid}-status-app",
        claim="Workflow status (app)",
        **cards.view_check(check),
        source=Source.SQL,
        ts=cards.ms(of.run["updated_at"]),
        provenance="app.runs.status",
        raw_ref=of.url,
        places=(of.place, *(place for place, _ in history)),
    )


def _engine_status(of: Subject) -> Iterator[Card]:
    execution = str(of.run["execution_id"])
    place, row = of.workflow(execution) or (of.place, None)
    yield Card(
        id=f"proof-{of.wid}-status-dbos",
        claim="Workflow status (engine) agrees with the app's",
        **cards.view_check(partial(_agreement, of.run["status"], row)),
        source=Source.DBOS,
        ts=cards.ms(of.run["updated_at"]) if row is None else row["updated_at"],
        provenance="dbos.workflow_status.status",
        raw_ref=f"/api/ops/wf/{quote(execution, safe='')}",
        places=(of.place, place),
    )


def _agreement(app: str, row: Row | None) -> Finding:
    """Whether the two words can be true of one run at one moment; the app's is written first."""
    if row is None:
        return Finding(Verdict.FAIL, f"app says {app}, engine knows no such workflow")
    engine = row["status"]
    ours, theirs = runs.OF_APP[app], runs.OF_ENGINE[engine]
    said = f"app says {app}, engine says {engine}"
    has_ended = [runs.RANKS[each] is runs.Rank.TERMINAL for each in (ours, theirs)]
    if has_ended == [True, False]:
        return Finding(Verdict.UNKNOWN, f"{said}: the engine has not ended it yet")
    if ours == theirs or not any(has_ended):
        return Finding(Verdict.PASS, f"{said}: they agree")
    return Finding(Verdict.FAIL, f"{said}: they disagree")


def _steps(of: Subject) -> Iterator[Card]:
    every = [*of.rows("runSteps")]
    every.sort(key=lambda pair: (pair[1]["attempt"], artifacts.place(pair[1]["step_id"])))
    for place, step in every:
        name, attempt = step["step_id"], step["attempt"]
        left = [
            each
            for _, each in of.rows("artifacts")
            if (each["step_id"], each["attempt"], each["task_key"]) == (name, attempt, "")
        ]
        yield Card(
            id=f"proof-{of.wid}-step-{name}-{attempt}",
            claim=f"Step execution: {name}, attempt {attempt}",
            **cards.view_check(partial(_order, of.run, step, left)),
            source=Source.SQL,
            ts=cards.ms(step["finished_at"]),
            provenance="app.run_steps",
            raw_ref=f"{of.url}/steps",
            places=(place, of.place),
        )


def _order(run: Row, step: Row, left: Sequence[Row]) -> Finding:
    """Whether the step began after its run and ended before what it left was kept.

    A fork took over steps that are older than itself.
    """
    begin = None if run["forked_from"] else run["created_at"]
    times = [*filter(None, (begin, step["started_at"], step["finished_at"]))]
    done = cards.ms(step["finished_at"])
    is_right = [*map(cards.at, times)] == sorted(map(cards.at, times)) and all(
        done <= cards.ms(each["created_at"]) for each in left
    )
    verdict = Verdict.PASS if is_right and done <= cards.ms(run["updated_at"]) else Verdict.FAIL
    order = "in order" if verdict is Verdict.PASS else "out of order"
    return Finding(
        verdict,
        f"reached phase {step['phase']}, {order}: {step['started_at']} to {step['finished_at']}",
    )


def _artifacts(of: Subject) -> Iterator[Card]:
    for section in ("artifacts", "audits"):
        for place, row in of.rows(section):
            named = (row["step_id"], row["task_key"] or "-", row["idx"], row["attempt"])
            yield Card(
                id=f"proof-{of.wid}-art-{'-'.join(map(str, named))}",
                claim=f"Artifact durability: {row['kind']}",
                **cards.view_check(partial(_bytes, row)),
                source=Source.ARTIFACT,
                ts=cards.ms(row["created_at"]),
                provenance=f"app.artifacts {row['uri']}",
                raw_ref=f"/api/artifacts/{quote(str(row['uri']), safe='')}",
                places=(place,),
            )


def _bytes(row: Row) -> Finding:
    made = _sha256(artifacts.content(row["kind"], row["inline"]))
    return cards.same(f"its bytes hash to {made}", {"artifacts.sha256": (row["sha256"], made)})


def _ledger(of: Subject) -> Iterator[Card]:
    gates = {gate["gate_key"]: gate for _, gate in of.rows("humanGates")}
    for place, row in of.rows("humanInteractions"):
        gate = gates.get(row["gate_key"])
        yield Card(
            id=f"proof-{of.wid}-ledger-{row['gate_key']}-{row['dedupe_key']}",
            claim=f"Accepted answer at {row['gate_key']}",
            **cards.view_check(partial(_answer, row, gate)),
            source=Source.SQL,
            ts=cards.ms(row["created_at"]),
            provenance="app.human_interactions.payload_hash",
            raw_ref=f"{of.url}/interactions",
            places=(place, "/humanGates"),
        )


def _answer(row: Row, gate: Row | None) -> Finding:
    if gate is None:
        return Finding(Verdict.FAIL, "an answer to a gate that there is not")
    made = digest(row["payload"])
    at, opened = cards.at(row["created_at"]), cards.at(gate["created_at"])
    told = {
        "human_interactions.payload_hash": (row["payload_hash"], made),
        "the gate's result": (gate["result"]["payloadHash"], made),
        "human_gates.created_at, not after": (max(at, opened), at),
    }
    return cards.same(f"its payload hashes to {made}", told)


def _patches(of: Subject) -> Iterator[Card]:
    for place, row in of.rows("patchHistory"):
        yield Card(
            id=f"proof-{of.wid}-patch-{row['step_id']}-{row['patch_index']}-{row['attempt']}",
            claim=f"Reversible patch {row['patch_index']}, attempt {row['attempt']}",
            **cards.view_check(partial(_reversible, row)),
            source=Source.SQL,
            ts=cards.ms(row["rolled_back_at"] or row["applied_at"] or row["created_at"]),
            provenance=f"app.patch_history {row['target_path']}",
            raw_ref=f"{of.url}/steps/{quote(str(row['step_id']), safe='')}/patches",
            places=(place,),
        )


def _reversible(row: Row) -> Finding:
    made = _sha256(row["postimage_content"].encode())
    told: dict[str, tuple[object, object]] = {"postimage_hash": (row["postimage_hash"], made)}
    if (before := row["preimage_content"]) is not None:
        was = _sha256(bytes.fromhex(before.removeprefix("\\x")))
        told["preimage_hash"] = (row["preimage_hash"], was)
    times = [row[name] for name in ("created_at", "applied_at", "rolled_back_at")]
    moments = [cards.at(each) for each in times if each is not None]
    told["chronology"] = (moments, sorted(moments))
    return cards.same(f"its postimage hashes to {made}", told)


def _receipts(of: Subject) -> Iterator[Card]:
    for place, row in of.rows("mockReceipts"):
        seen = row["seen_count"]
        yield Card(
            id=f"proof-{of.wid}-receipt-{row['receipt_key']}",
            claim=f"Side effect of {row['step_id']} exactly once",
            evidence=f"seen {seen} times by {row['execution_id']}",
            verdict=Verdict.PASS if seen == 1 else Verdict.FAIL,
            source=Source.SQL,
            ts=cards.ms(row["created_at"]),
            provenance="app.mock_receipts.seen_count",
            raw_ref=f"{of.url}/steps",
            places=(place,),
        )


def _budget(of: Subject) -> Iterator[Card]:
    """The limits, if there are any, and every violation as its artifact tells it."""
    broken = [pair for pair in of.rows("artifacts") if pair[1]["step_id"] == BUDGET]
    limits = of.run["budget"]
    if limits is not None:
        kept = Verdict.FAIL if broken else Verdict.PASS
        yield _policy(of, "budget", _json(limits), kept)
    for place, row in broken:
        named = f"budget-{row['task_key'] or '-'}-{row['idx']}-{row['attempt']}"
        yield _policy(of, named, _json(row["inline"]), Verdict.FAIL, (place, row))


def _policy(
    of: Subject, name: str, evidence: str, verdict: Verdict, at: tuple[str, Row] | None = None
) -> Card:
    place, row = at or (of.place, None)
    return Card(
        id=f"proof-{of.wid}-{name}",
        claim="Budget policy",
        evidence=evidence,
        verdict=verdict,
        source=Source.POLICY,
        ts=cards.ms(of.run["created_at"] if row is None else row["created_at"]),
        provenance="app.runs.budget" if row is None else f"app.artifacts {row['uri']}",
        raw_ref=of.url if row is None else f"/api/artifacts/{quote(str(row['uri']), safe='')}",
        places=(place,),
    )


def _partition(of: Subject) -> Iterator[Card]:
    place, row = of.workflow(of.wid) or (of.place, None)
    wanted = of.run["queue_partition_key"]

    def check() -> Finding:
        if row is None:
            return Finding(Verdict.FAIL, f"{wanted}: engine knows no such workflow")
        found = row["queue_partition_key"]
        return cards.same(f"app says {wanted}", {"engine": (found, wanted)})

    yield Card(
        id=f"proof-{of.wid}-partition",
        claim="Queue partition policy",
        **cards.view_check(check),
        source=Source.POLICY,
        ts=cards.ms(of.run["created_at"]),
        provenance="app.runs.queue_partition_key",
        raw_ref=of.url,
        places=(of.place, place),
    )


MAKERS: Final[tuple[Callable[[Subject], Iterator[Card]], ...]] = (
    _identity,
    _recipe,
    _app_status,
    _engine_status,
    _partition,
    _budget,
    _steps,
    _ledger,
    _patches,
    _receipts,
    _artifacts,
)


def _json(value: Any) -> str:
    return canonical(value).decode()


def _sha256(content: bytes) -> str:
    return sha256(content).hexdigest()
