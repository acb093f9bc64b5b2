"""The battery: every request that a scenario wants refused, in one place.

A scenario adds a new refusal to a family here, and its own tests use the same data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pytest_spec11.stacks import Stack
from scenarios.support.contract import identity, recipes
from scenarios.support.contract.events import EVENTS, NO_TOPICS, event
from scenarios.support.contract.inventory import Operation, operations
from scenarios.support.contract.start_options import CHANGES, INERT, OPTS
from scenarios.support.contract.start_requests import RECIPE, reply, start
from scenarios.support.probes import hostile_recipes
from scenarios.support.probes.malformed_bodies import NO_OBJECTS, NOTHING, mutants, unreadable
from scenarios.support.probes.paths import NO_KEYS, OF_A_GATE, no_routes, off_bounds, unknown_runs
from scenarios.support.probes.policy_violations import BLANKS, FORMS, NO_BUDGETS, OVER, WISHES
from scenarios.support.probes.requests import (
    CANCEL,
    DEMO,
    FORK,
    REPLY,
    RESUME,
    RETRY,
    START,
    STORED,
    Place,
    posts,
    waiting,
)
from scenarios.support.probes.subjects import Subject, subject
from scenarios.support.runs.promotions import EXPORT, IMPORT
from scenarios.support.runs.promotions import url as step_of
from scenarios.support.runs.run_lifecycle import complete_run, park_run

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
    """One request, and the status of its refusal."""

    status: int
    method: str
    url: str
    content: bytes = b""


@dataclass(frozen=True)
class Ground:
    """What refusals need: runs in three states, and recipes."""

    goal: str  # no run has it
    places: dict[str, Place]  # of a run that waits and was started with OPTS
    operations: list[Operation]
    waits: Subject
    ended: Subject
    late: Subject  # it waits at a gate whose deadline has passed
    refs: list[dict[str, str]]  # recipes that would render the waiting run's intent
    draft: dict[str, str]
    bare: dict[str, str]  # a candidate that has no check
    spec: dict[str, Any]  # of the stable version that all of these are made from

    def url(self, path: str, about: Subject) -> str:
        """Where the POST route of ``path`` is for ``about``."""
        return about.url(self.places[path].operation)


def ground(stack: Stack, goal: str) -> Ground:
    """Create all that the battery needs on ``stack``."""
    places = posts(stack, goal)
    ended = complete_run(stack.api, f"{goal}, ended")["workflowID"]
    late = park_run(stack.api, f"{goal}, late")["workflowID"]
    assert stack.admin.execute(OVERDUE, w=late) == [{"state": "PENDING"}]
    spec = recipes.spec(stack.app_sql)
    newer, twin, draft, bare = (f"{kind} for {goal}" for kind in ("newer", "twin", "draft", "bare"))
    recipes.plant(stack, {**spec, "v": newer})
    recipes.plant(stack, {**spec, "id": twin})
    recipes.plant(stack, {**spec, "v": draft}, status="draft")
    recipes.plant(stack, {**spec, "v": bare, "eval": []}, status="candidate")
    return Ground(
        goal=goal,
        places=places,
        operations=operations(stack.api),
        waits=subject(stack.api, identity.workflow_id(waiting(goal))),
        ended=subject(stack.api, ended),
        late=subject(stack.api, late),
        refs=[{**RECIPE, "v": newer}, {**RECIPE, "id": twin}],
        draft={**RECIPE, "v": draft},
        bare={**RECIPE, "v": bare},
        spec=spec,
    )


def battery(on: Ground) -> Iterator[Refusal]:
    """All of them."""
    yield from _drifts(on)  # S02
    yield from _list_malformed(on)  # S03, and so are the next three
    yield from _forbidden(on)
    yield from _nowhere(on)
    yield from _off_bounds(on)
    yield from _answers(on)  # S04 and S05
    yield from _events(on)  # S06
    yield from _actions(on)  # S07
    yield from _recipes(on)  # S12
    yield from _budgets(on)  # S11


def _make_refusal(status: int, url: str, body: object) -> Refusal:
    return Refusal(status, "POST", url, json.dumps(body).encode())


def _drifts(on: Ground) -> Iterator[Refusal]:
    goal, wid = waiting(on.goal), on.waits.wid
    for change, _ in CHANGES.values():
        yield _make_refusal(409, START, start(goal, **{**OPTS, **change}))
    for ref in on.refs:
        yield _make_refusal(409, START, {**start(goal, **OPTS), "recipeRef": ref})
    yield _make_refusal(409, STORED, {"intentId": wid, **OPTS, "queuePartitionKey": "elsewhere"})
    yield _make_refusal(404, STORED, {"intentId": f"{wid}0", **OPTS})
    for wish in INERT:
        yield _make_refusal(400, START, start(on.goal, **wish))
        yield _make_refusal(400, STORED, {"intentId": wid, **OPTS, **wish})


def _list_malformed(on: Ground) -> Iterator[Refusal]:
    for place in on.places.values():
        takes_body = place.operation.body is not None
        for what, content in unreadable(place.around_hole).items():
            if takes_body or what not in NOTHING:
                yield Refusal(400, "POST", place.url, content)
        for text in (*NO_OBJECTS, '{"bogus": 1}'):
            yield Refusal(400, "POST", place.url, text.encode())
        yield Refusal(400, "POST", place.url, b" " * (1024 * 1024 + 1))
        for mutant in mutants(place.operation.body, place.body) if place.operation.body else ():
            yield _make_refusal(400, place.url, mutant.body)


def _forbidden(on: Ground) -> Iterator[Refusal]:
    for form, _ in FORMS:
        yield _make_refusal(400, START, {**start(""), "formData": form})
    for wish in (*WISHES, *OVER):
        yield _make_refusal(400, START, start(on.goal, **wish.opts))
    for blank in BLANKS:
        yield _make_refusal(400, START, start(on.goal, queuePartitionKey=blank))
        yield _make_refusal(400, STORED, {"intentId": on.waits.wid, "queuePartitionKey": blank})
    unknown = {**RECIPE, "v": "v99"}
    yield _make_refusal(404, START, {**start(on.goal), "recipeRef": unknown})
    yield _make_refusal(409, START, {**start(on.goal), "recipeRef": on.draft})


def _nowhere(on: Ground) -> Iterator[Refusal]:
    body = json.dumps(reply()).encode()
    for each, url in unknown_runs(on.operations):
        yield Refusal(404, each.method, url, body if each.body else b"")
    for method, path in no_routes(on.operations):
        yield Refusal(404, method, path)
    for path in ("/api/artifacts/none", "/api/recipes/none/versions"):
        yield Refusal(404, "GET", path)
    nobody = replace(on.waits, wid="ih_nobody")
    for each in on.operations:
        if each.path.startswith("/api/ops/wf/"):
            sent = json.dumps(on.places[each.path].body) if each.body else ""
            yield Refusal(404, each.method, nobody.url(each), sent.encode())


def _off_bounds(on: Ground) -> Iterator[Refusal]:
    for each in on.operations:
        for query, _ in off_bounds(each, on.waits):
            yield Refusal(400, each.method, f"{on.waits.path(each)}?{query}", b"{}")


def _answers(on: Ground) -> Iterator[Refusal]:
    body = json.dumps(reply()).encode()
    for each in on.operations:
        if each.path.startswith(OF_A_GATE):
            sent = body if each.body else b""
            for key in NO_KEYS:
                yield Refusal(400, each.method, replace(on.waits, gate_key=key).url(each), sent)
            nobody = replace(on.waits, gate_key="approve-plan-0")
            yield Refusal(404, each.method, nobody.url(each), sent)
    for payload in MUMBLED:
        yield _make_refusal(400, on.url(REPLY, on.waits), {**reply(), "payload": payload})
    yield _make_refusal(
        409, on.url(REPLY, on.ended), reply("no")
    )  # the accepted key, another payload
    yield _make_refusal(409, on.url(REPLY, on.ended), reply("yes", key="qa-2"))
    yield _make_refusal(409, on.url(REPLY, on.ended), reply("no", key="qa-2"))
    yield _make_refusal(409, on.url(REPLY, on.late), reply())


def _events(on: Ground) -> Iterator[Refusal]:
    wid, gate = on.waits.wid, on.waits.gate_key
    for topic in NO_TOPICS:
        yield _make_refusal(400, EVENTS, event(wid, gate, topic=topic))
    for origin in ("legacy", "Manual", None):
        yield _make_refusal(400, EVENTS, event(wid, gate, origin=origin))
    yield _make_refusal(409, EVENTS, event(wid, gate, topic="human:wrong"))
    yield _make_refusal(404, EVENTS, event("ih_nobody", gate))
    yield _make_refusal(404, EVENTS, event(wid, "approve-plan-0"))
    for gone in (on.ended, on.late):
        yield _make_refusal(409, EVENTS, event(gone.wid, gone.gate_key, dedupeKey="fresh"))


def _actions(on: Ground) -> Iterator[Refusal]:
    by = {"actor": "qa", "reason": "to be refused"}
    yield _make_refusal(409, on.url(CANCEL, on.ended), by)
    yield _make_refusal(409, on.url(RESUME, on.ended), by)
    yield _make_refusal(409, on.url(RESUME, on.waits), by)
    yield _make_refusal(409, on.url(FORK, on.waits), {**by, "stepN": 1000})
    yield Refusal(409, "POST", on.url(RETRY, on.ended))
    yield Refusal(409, "POST", on.url(RETRY, on.waits))
    yield Refusal(409, "POST", on.url(DEMO, replace(on.waits, demo=on.waits.wid)))  # a run's own id


def _recipes(on: Ground) -> Iterator[Refusal]:
    fresh = {**on.spec, "id": f"fresh for {on.goal}"}
    for bad in hostile_recipes.specs(fresh).values():
        yield _make_refusal(400, IMPORT, {"id": "x", "versions": [bad]})
        yield _make_refusal(400, IMPORT, {"id": "x", "versions": [{**fresh, "v": "v0"}, bad]})
    changed = {**on.spec, **on.draft, "tags": ["changed"]}
    for taken in (on.spec, {**on.spec, "tags": ["changed"]}, changed):
        yield _make_refusal(409, IMPORT, {"id": "x", "versions": [fresh, taken]})
    yield _make_refusal(404, EXPORT, {"id": f"nobody's, {on.goal}"})
    yield Refusal(409, "POST", step_of(on.spec))  # it is stable
    yield Refusal(409, "POST", step_of(on.bare))
    yield Refusal(404, "POST", step_of({**on.spec, "v": "v99"}))
    yield _make_refusal(409, START, {**start(on.goal), "recipeRef": on.bare})


def _budgets(on: Ground) -> Iterator[Refusal]:
    for value, _ in NO_BUDGETS:
        yield _make_refusal(400, START, start(on.goal, budget=value))
        yield _make_refusal(400, STORED, {"intentId": on.waits.wid, **OPTS, "budget": value})
