"""Every request that some scenario wants refused, in one place: together they are the battery.

A scenario that learns a new refusal adds it to a family here; its own tests use the same data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pytest_spec11.stacks import Stack
from scenarios import identity, recipes
from scenarios.bodies import NO_OBJECTS, mutants, unreadable
from scenarios.events import EVENTS, NO_TOPICS, event
from scenarios.forbidden import BLANKS, FORMS, OVER, WISHES
from scenarios.intents import RECIPE, reply, start
from scenarios.inventory import Operation, operations
from scenarios.lives import answered, parked
from scenarios.paths import NO_KEYS, OF_A_GATE, no_routes, off_bounds, unknown_runs
from scenarios.requests import START, STORED, Place, perfect, posts
from scenarios.wishes import CHANGES, INERT, OPTS

# Answers that a gate asking for a yes or a no does not understand (D18).
MUMBLED: tuple[dict[str, Any], ...] = (
    {},
    {"choice": "maybe"},
    {"choice": True},
    {"choice": "yes", "approved": True},
    {"approved": "yes"},
    {"decision": "perhaps"},
    {"choice": "yes", "rationale": 7},
    {"choice": "yes", "more": "words"},
)
OVERDUE = """
UPDATE app.human_gates SET deadline_at = created_at WHERE workflow_id = %(w)s RETURNING state
"""


@dataclass(frozen=True)
class Refusal:
    """One request, and the status by which it must be refused."""

    status: int
    method: str
    url: str
    content: bytes = b""


@dataclass(frozen=True)
class Ground:
    """What refusals need to be there: a run that waits, one that was answered, recipes."""

    goal: str  # no run has it
    waiting: str  # the goal of the run that waits; it was started with OPTS
    places: dict[str, Place]
    operations: list[Operation]
    names: dict[str, str]  # of the waiting run, for any path
    answered: str  # where the gate of a run takes replies that was answered,
    late: str  # and of one whose deadline has passed
    refs: list[dict[str, str]]  # recipes that would render the waiting run's intent
    draft: dict[str, str]


def ground(stack: Stack, goal: str) -> Ground:
    """All that the battery needs, made on ``stack``."""
    waiting = f"{goal}, waiting"
    places = posts(stack, waiting)
    late = parked(stack.api, f"{goal}, late")["workflowID"]
    assert stack.admin.execute(OVERDUE, w=late) == [{"state": "PENDING"}]
    ended = answered(stack.api, parked(stack.api, f"{goal}, ended")["workflowID"])["workflowID"]
    (open_gate,) = stack.api.get(f"/api/runs/{identity.workflow_id(waiting)}/gates").json()
    spec = recipes.spec(stack.app_sql)
    newer, twin, draft = f"newer for {goal}", f"twin for {goal}", f"draft for {goal}"
    recipes.plant(stack, {**spec, "v": newer})
    recipes.plant(stack, {**spec, "id": twin})
    recipes.plant(stack, {**spec, "v": draft}, status="draft")
    return Ground(
        goal=goal,
        waiting=waiting,
        places=places,
        operations=operations(stack.api),
        names={
            "wid": open_gate["workflowID"],
            "gateKey": open_gate["gateKey"],
            "id": "compile-default",
            "uri": "x",
        },
        answered=_reply_place(stack, ended),
        late=_reply_place(stack, late),
        refs=[{**RECIPE, "v": newer}, {**RECIPE, "id": twin}],
        draft={**RECIPE, "v": draft},
    )


def _reply_place(stack: Stack, wid: str) -> str:
    (gate,) = stack.api.get(f"/api/runs/{wid}/gates").json()
    return f"/api/runs/{wid}/gates/{gate['gateKey']}/reply"


def battery(on: Ground) -> Iterator[Refusal]:
    """All of them."""
    yield from _drifts(on)  # S02
    yield from _unreadable(on)  # S03, and so are the next four
    yield from _mutants(on)
    yield from _forbidden(on)
    yield from _nowhere(on)
    yield from _off_bounds(on)
    yield from _answers(on)  # S04 and S05, by the routes there are
    yield from _events(on)  # S06


def _posted(status: int, url: str, body: object) -> Refusal:
    return Refusal(status, "POST", url, json.dumps(body).encode())


def _drifts(on: Ground) -> Iterator[Refusal]:
    for change, _ in CHANGES.values():
        yield _posted(409, START, start(on.waiting, **{**OPTS, **change}))
    for ref in on.refs:
        yield _posted(409, START, {**start(on.waiting, **OPTS), "recipeRef": ref})
    wid = on.names["wid"]
    yield _posted(409, STORED, {"intentId": wid, **OPTS, "queuePartitionKey": "elsewhere"})
    yield _posted(404, STORED, {"intentId": f"{wid}0", **OPTS})
    for wish in INERT:
        yield _posted(400, START, start(on.goal, **wish))
        yield _posted(400, STORED, {"intentId": wid, **OPTS, **wish})


def _unreadable(on: Ground) -> Iterator[Refusal]:
    for path, body in perfect(on.goal, stored=on.waiting).items():
        url = on.places[path].url
        for content in unreadable(json.dumps(body)).values():
            yield Refusal(400, "POST", url, content)
        for text in NO_OBJECTS:
            yield Refusal(400, "POST", url, text.encode())
        yield Refusal(400, "POST", url, b" " * (1024 * 1024 + 1))


def _mutants(on: Ground) -> Iterator[Refusal]:
    for path, body in perfect(on.goal, stored=on.waiting).items():
        for mutant in mutants(on.places[path].operation.body or {}, body):
            yield _posted(400, on.places[path].url, mutant.body)


def _forbidden(on: Ground) -> Iterator[Refusal]:
    for form, _ in FORMS:
        yield _posted(400, START, {**start(""), "formData": form})
    for wish in (*WISHES, *OVER):
        yield _posted(400, START, start(on.goal, **wish.opts))
    for blank in BLANKS:
        yield _posted(400, START, start(on.goal, queuePartitionKey=blank))
        yield _posted(400, STORED, {"intentId": on.names["wid"], "queuePartitionKey": blank})
    unknown = {**RECIPE, "v": "v99"}
    yield _posted(404, START, {**start(on.goal), "recipeRef": unknown})
    yield _posted(409, START, {**start(on.goal), "recipeRef": on.draft})


def _nowhere(on: Ground) -> Iterator[Refusal]:
    body = json.dumps(reply()).encode()
    for each, url in unknown_runs(on.operations):
        yield Refusal(404, each.method, url, body if each.body else b"")
    for method, path in no_routes(on.operations):
        yield Refusal(404, method, path)
    for path in ("/api/artifacts/none", "/api/recipes/none/versions"):
        yield Refusal(404, "GET", path)


def _off_bounds(on: Ground) -> Iterator[Refusal]:
    for each in on.operations:
        for query, _ in off_bounds(each):
            yield Refusal(400, each.method, f"{each.at(**on.names)}?{query}", b"{}")


def _answers(on: Ground) -> Iterator[Refusal]:
    wid, gate = on.names["wid"], on.names["gateKey"]
    body = json.dumps(reply()).encode()
    for each in on.operations:
        if each.path.startswith(OF_A_GATE):
            sent = body if each.body else b""
            for key in NO_KEYS:
                yield Refusal(400, each.method, each.at(wid=wid, gateKey=key), sent)
            yield Refusal(404, each.method, each.at(wid=wid, gateKey="approve-plan-0"), sent)
    for payload in MUMBLED:
        yield _posted(400, f"/api/runs/{wid}/gates/{gate}/reply", {**reply(), "payload": payload})
    yield _posted(409, on.answered, reply("no"))  # the accepted key with another payload
    yield _posted(409, on.answered, reply("yes", key="qa-2"))
    yield _posted(409, on.answered, reply("no", key="qa-2"))
    yield _posted(409, on.late, reply())


def _events(on: Ground) -> Iterator[Refusal]:
    wid, gate = on.names["wid"], on.names["gateKey"]
    for topic in NO_TOPICS:
        yield _posted(400, EVENTS, event(wid, gate, topic=topic))
    for origin in ("legacy", "Manual", None):
        yield _posted(400, EVENTS, event(wid, gate, origin=origin))
    yield _posted(409, EVENTS, event(wid, gate, topic="human:wrong"))
    yield _posted(404, EVENTS, event("ih_nobody", gate))
    yield _posted(404, EVENTS, event(wid, "approve-plan-0"))
    for place in (on.answered, on.late):
        *_, run, _, key, _ = place.split("/")
        yield _posted(409, EVENTS, event(run, key, dedupeKey="fresh"))
