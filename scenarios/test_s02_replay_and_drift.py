"""S02: the same intent is one run for ever; any other wish under its id is a 409 that says why."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.http import Api
from pytest_spec11.run import Run
from pytest_spec11.session.recorder import Recorder
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity, recipes
from scenarios.support.contract.inventory import nullable, operations
from scenarios.support.contract.start_options import BUDGET, CHANGES, OPTS
from scenarios.support.contract.start_requests import RECIPE, start
from scenarios.support.faults.zero_writes import zero_writes
from scenarios.support.runs.run_lifecycle import answer_run, await_status, park_run

pytestmark = pytest.mark.S02

RUN = "SELECT xmin::text, * FROM app.runs WHERE workflow_id = %(w)s"
INTENT = "SELECT xmin::text, * FROM app.intents WHERE id = %(w)s"
LATE_MS = 700
WORKFLOW = "SELECT workflow_uuid, name FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"


@pytest.fixture(scope="session", autouse=True)
def late(lab: Stack, spec11_run: Run, spec11_recorder: Recorder) -> dict[str, Any]:
    """A start that nobody will answer in time; its timeout passes while other tests run."""
    body = start(f"late in {__name__} of {spec11_run.id}", timeoutMS=LATE_MS)
    assert lab.api.post("/api/run", json=body).status == 201
    spec11_recorder.record_provocation(_id(body), "its timeout passes at the gate")
    return body


@pytest.mark.claim("S02.replay-same-workflow")
def test_the_same_start_twice_is_one_run(lab: Stack, unique_goal: str) -> None:
    first = lab.api.post("/api/run", json=start(unique_goal))
    again = lab.api.post("/api/run", json=start(unique_goal))

    assert (first.status, first.json()["isReplay"]) == (201, False)
    assert (again.status, again.json()["isReplay"]) == (200, True)
    wid = identity.workflow_id(unique_goal)
    for reply in (first.json(), again.json()):
        assert (reply["workflowID"], reply["runId"]) == (wid, identity.run_id(wid))
        assert reply["intentHash"] == identity.intent_hash(unique_goal)
    assert again.json()["recipeHash"] == first.json()["recipeHash"]
    assert [row["id"] for row in lab.app_sql.rows(RUN, w=wid)] == [identity.run_id(wid)]
    assert [row["recipe_v"] for row in lab.app_sql.rows(INTENT, w=wid)] == ["v1"]
    assert lab.sys_sql.rows(WORKFLOW, w=wid) == [{"workflow_uuid": wid, "name": "RunIntent"}]


@pytest.mark.claim("S02.replay-same-workflow")
def test_the_compat_door_obeys_the_same_law(lab: Stack, unique_goal: str) -> None:
    first = lab.api.post("/api/run", json=start(unique_goal)).json()
    wid = first["workflowID"]
    stored = lab.app_sql.rows(INTENT, w=wid)

    same = lab.api.post("/api/runs", json={"intentId": wid, "queuePartitionKey": "tenant-acme"})
    other = lab.api.post("/api/runs", json={"intentId": wid, "queuePartitionKey": "elsewhere"})
    unknown = lab.api.post("/api/runs", json={"intentId": f"{wid}0", "queuePartitionKey": "p"})

    assert (same.status, same.json()["isReplay"]) == (200, True)
    assert (same.json()["workflowID"], same.json()["recipeHash"]) == (wid, first["recipeHash"])
    assert (other.status, other.json()["code"]) == (409, "run_identity_conflict")
    assert other.json()["drift"] == [
        {"field": "queue_partition_key", "existing": "tenant-acme", "incoming": "elsewhere"}
    ]
    assert (unknown.status, unknown.json()) == (404, {"error": f"intent not found: {wid}0"})
    assert lab.app_sql.rows(INTENT, w=wid) == stored
    assert len(lab.app_sql.rows(RUN, w=wid)) == 1
    assert len(lab.sys_sql.rows(WORKFLOW, w=wid)) == 1


@pytest.mark.claim("S02.replay-any-encoding")
def test_every_encoding_of_a_start_is_that_start(lab: Stack, unique_goal: str) -> None:
    body = start(f"{unique_goal} ÄÖ✓𝄞", priority=7)
    wid = lab.api.post("/api/run", json=body).json()["workflowID"]
    text = json.dumps(body)
    spellings = {
        "keys in another order": json.dumps(_reverse_keys(body)),
        "indented": json.dumps(body, indent="\t"),
        "raw UTF-8": json.dumps(body, ensure_ascii=False),
        "every letter escaped": _escape_strings(body),
        "7.0 for 7": text.replace('"priority": 7', '"priority": 7.0'),
        "70e-1 for 7": text.replace('"priority": 7', '"priority": 70e-1'),
    }
    assert all(json.loads(spelling) == body for spelling in spellings.values())

    replies = {name: _send_start(lab.api, text) for name, text in spellings.items()}

    assert replies == dict.fromkeys(spellings, (200, wid))
    assert len(lab.app_sql.rows(RUN, w=wid)) == 1


@pytest.mark.claim("S02.replay-any-encoding")
def test_one_and_one_point_zero_are_one_form(lab: Stack, unique_goal: str) -> None:
    text = json.dumps({**start(""), "recipeRef": {"id": "seed.r08", "v": "v1"}})
    forms = [
        f'{{"topic": {json.dumps(unique_goal)}, "size": {size}}}' for size in (1, "1.0", "1e0")
    ]

    replies = [_send_start(lab.api, text.replace('{"goal": ""}', form)) for form in forms]

    wid = replies[0][1]
    assert replies == [(201, wid), (200, wid), (200, wid)]
    assert (
        lab.app_sql.value(
            "SELECT json #>> '{inputs,size}' FROM app.intents WHERE id = %(w)s", w=wid
        )
        == "1"
    )


@pytest.mark.claim("S02.replay-any-encoding")
@pytest.mark.parametrize(
    "twice", ['"lane": "batch", "lane": "batch"', '"priority": 1, "prior\\u0069ty": 1']
)
def test_a_repeated_key_is_refused(lab: Stack, unique_goal: str, twice: str) -> None:
    text = json.dumps(start(unique_goal)).replace('"opts": {', f'"opts": {{{twice}, ')

    reply = lab.api.request("POST", "/api/run", content=text)

    assert (reply.status, reply.json()["error"]) == (400, "invalid json")
    assert (
        lab.app_sql.value(
            "SELECT count(*) FROM app.intents WHERE id = %(w)s", w=identity.workflow_id(unique_goal)
        )
        == 0
    )


@pytest.mark.claim("S02.null-is-absent")
def test_null_options_are_no_options(lab: Stack, unique_goal: str) -> None:
    bare = {"recipeRef": RECIPE, "formData": {"goal": unique_goal}}
    twin = lab.api_at("twin")  # demands no partition key

    first = twin.post("/api/run", json=bare)
    again = twin.post("/api/run", json={**bare, "opts": None})
    strict = [lab.api.post("/api/run", json=body) for body in (bare, {**bare, "opts": None})]

    assert (first.status, again.status) == (201, 200)
    assert again.json()["workflowID"] == first.json()["workflowID"]
    assert {(reply.status, reply.body) for reply in strict} == {(400, strict[0].body)}
    assert len(lab.app_sql.rows(RUN, w=first.json()["workflowID"])) == 1


@pytest.mark.claim("S02.null-is-absent")
def test_every_option_may_be_null(lab: Stack, unique_goal: str) -> None:
    twin = lab.api_at("twin")
    schemas = {each.path: each.body for each in operations(twin) if each.body}
    options = nullable(schemas["/api/runs"])
    assert nullable(schemas["/api/run"]) == ["opts"]
    assert {"queuePartitionKey", "traceId", "lane", "workload", "budget"} < set(options)
    bare = {"recipeRef": RECIPE, "formData": {"goal": unique_goal}}
    wid = identity.workflow_id(unique_goal)
    nulls = [dict.fromkeys(options), *({name: None} for name in options), {}]

    pinned = [twin.post("/api/run", json={**bare, "opts": opts}).status for opts in nulls]
    stored = [twin.post("/api/runs", json={"intentId": wid, **opts}).status for opts in nulls]

    assert pinned == [201, *[200] * (len(options) + 1)]
    assert stored == [200] * (len(options) + 2)
    (run,) = lab.app_sql.rows(RUN, w=wid)
    assert (run["lane"], run["priority"], run["queue_name"]) == ("interactive", 1, "intentQ")
    columns = ("trace_id", "timeout_ms", "workload", "tenant_id", "budget", "queue_partition_key")
    assert [run[column] for column in columns] == [None] * 6


@pytest.mark.claim("S02.drift-each-field")
def test_every_other_wish_is_refused_and_named(lab: Stack, unique_goal: str) -> None:
    wid = lab.api.post("/api/run", json=start(unique_goal, **OPTS)).json()["workflowID"]

    refusals = {
        name: lab.api.post("/api/run", json=start(unique_goal, **{**OPTS, **change}))
        for name, (change, _) in CHANGES.items()
    }

    assert {name: reply.json() for name, reply in refusals.items()} == {
        name: {
            "error": f"Divergence in run {wid}: identity drift on {drift['field']}",
            "code": "run_identity_conflict",
            "drift": [drift],
        }
        for name, (_, drift) in CHANGES.items()
    }
    assert {reply.status for reply in refusals.values()} == {409}
    (run,) = lab.app_sql.rows(RUN, w=wid)
    assert (run["tenant_id"], run["lane"], run["budget"]) == ("acme", "interactive", BUDGET)


@pytest.mark.claim("S02.drift-each-field")
def test_two_other_wishes_are_both_named(lab: Stack, unique_goal: str) -> None:
    wid = lab.api.post("/api/run", json=start(unique_goal, **OPTS)).json()["workflowID"]
    both = {**OPTS, "lane": "batch", "tenantId": "umbrella"}

    reply = lab.api.post("/api/run", json=start(unique_goal, **both))

    assert reply.status == 409
    assert sorted(reply.json()["drift"], key=lambda drift: drift["field"]) == [
        {"field": "lane", "existing": "interactive", "incoming": "batch"},
        {"field": "tenant_id", "existing": "acme", "incoming": "umbrella"},
    ]
    assert [run["lane"] for run in lab.app_sql.rows(RUN, w=wid)] == ["interactive"]


@pytest.mark.claim("S02.drift-each-field")
def test_a_budget_in_another_order_is_the_same_budget(lab: Stack, unique_goal: str) -> None:
    wid = lab.api.post("/api/run", json=start(unique_goal, **OPTS)).json()["workflowID"]

    turned = {**OPTS, "budget": dict(reversed(BUDGET.items()))}
    reply = lab.api.post("/api/run", json=start(unique_goal, **turned))

    assert (reply.status, reply.json()["workflowID"]) == (200, wid)
    assert [run["budget"] for run in lab.app_sql.rows(RUN, w=wid)] == [BUDGET]


@pytest.mark.claim("S02.drift-recipe-ref")
def test_another_recipe_with_the_same_intent_is_refused(lab: Stack, unique_goal: str) -> None:
    first = lab.api.post("/api/run", json=start(unique_goal)).json()
    mine, ours = first["recipeHash"], recipes.spec(lab.app_sql)
    other = {**ours, "id": f"twin of {first['runId']}"}
    newer = f"v-{first['runId']}"
    hashes = [
        recipes.plant(lab, {**ours, "v": newer}),
        recipes.plant(lab, other),
        recipes.plant(lab, {**other, "v": newer}),
    ]

    replies = [
        lab.api.post("/api/run", json={**start(unique_goal), "recipeRef": {"id": id_, "v": v}})
        for id_, v in ((ours["id"], newer), (other["id"], "v1"), (other["id"], newer))
    ]

    by_id = {"field": "recipe_id", "existing": "compile-default", "incoming": other["id"]}
    by_v = {"field": "recipe_v", "existing": "v1", "incoming": newer}
    by_hash = [{"field": "recipe_hash", "existing": mine, "incoming": each} for each in hashes]
    assert [reply.status for reply in replies] == [409, 409, 409]
    assert [reply.json()["drift"] for reply in replies] == [
        [by_v, by_hash[0]],
        [by_id, by_hash[1]],
        [by_id, by_v, by_hash[2]],
    ]
    assert {reply.json()["code"] for reply in replies} == {"run_identity_conflict"}
    (run,) = lab.app_sql.rows(RUN, w=first["workflowID"])
    assert (run["recipe_id"], run["recipe_v"], run["recipe_hash"]) == (
        "compile-default",
        "v1",
        mine,
    )


@pytest.mark.claim("S02.trace-not-identity")
def test_a_retry_may_carry_another_trace(lab: Stack, unique_goal: str) -> None:
    first = lab.api.post("/api/run", json=start(unique_goal, traceId="trace-1"))

    again = lab.api.post("/api/run", json=start(unique_goal, traceId="trace-2"))
    bare = lab.api.post("/api/run", json=start(unique_goal))

    assert (first.status, again.status, bare.status) == (201, 200, 200)
    wid = identity.workflow_id(unique_goal)
    assert [reply.json()["traceId"] for reply in (first, again, bare)] == ["trace-1"] * 3
    assert [run["trace_id"] for run in lab.app_sql.rows(RUN, w=wid)] == ["trace-1"]


@pytest.mark.claim("S02.conflict-leaves-row")
def test_no_conflict_writes_a_row(lab: Stack, unique_goal: str) -> None:
    header = park_run(lab.api, unique_goal, **OPTS)
    wid, spec = header["workflowID"], recipes.spec(lab.app_sql)
    newer = {**spec, "v": f"v-{header['runId']}"}
    recipes.plant(lab, newer)
    recipes.plant(lab, {**spec, "id": f"twin of {header['runId']}"})
    wishes = [start(unique_goal, **{**OPTS, **change}) for change, _ in CHANGES.values()]
    wishes.append(start(unique_goal, **{**OPTS, "lane": "batch", "tenantId": "umbrella"}))
    wishes.append({**wishes[0], "recipeRef": {"id": newer["id"], "v": newer["v"]}})
    wishes.append({**wishes[0], "recipeRef": {"id": f"twin of {header['runId']}", "v": "v1"}})
    before = lab.app_sql.one(RUN, w=wid)

    with zero_writes(lab):
        replies = [lab.api.post("/api/run", json=body) for body in wishes]
        replies.append(lab.api.post("/api/runs", json={"intentId": wid, "queuePartitionKey": "p"}))

    assert [reply.status for reply in replies] == [409] * (len(CHANGES) + 4)
    assert lab.app_sql.one(RUN, w=wid) == before


@pytest.mark.claim("S02.replay-after-terminal")
def test_a_replay_after_the_end_wakes_nothing(
    lab: Stack, unique_goal: str, late: dict[str, Any], provokes: Provokes
) -> None:
    yes = park_run(lab.api, f"{unique_goal}, yes")
    no = park_run(lab.api, f"{unique_goal}, no")
    provokes(no["workflowID"], "answered no")
    ended = {
        "SUCCESS": answer_run(lab.api, yes["workflowID"], "yes"),
        "ERROR": answer_run(lab.api, no["workflowID"], "no"),
        "CANCELLED": await_status(lab.api, _id(late), {"CANCELLED"}, deadline_s=20),
    }
    eventually(  # the durable engine ends it first
        lambda: lab.api.get(f"/api/runs/{_id(late)}").json()["durableStatus"] == "canceled",
        deadline_s=20,
    )
    repeats = [start(f"{unique_goal}, yes"), start(f"{unique_goal}, no"), late]

    with zero_writes(lab):
        again = [lab.api.post("/api/run", json=body) for body in repeats]

    assert [reply.status for reply in again] == [200, 200, 200]
    assert [reply.json()["status"] for reply in again] == ["SUCCESS", "ERROR", "CANCELLED"]
    assert [reply.json() for reply in again] == [
        {**lab.api.get(f"/api/runs/{header['workflowID']}").json(), "isReplay": True}
        for header in ended.values()
    ]
    assert lab.sys_sql.rows(
        "SELECT status, recovery_attempts FROM dbos.workflow_status"
        " WHERE workflow_uuid = ANY(%(ids)s) ORDER BY status",
        ids=[header["workflowID"] for header in ended.values()],
    ) == [{"status": word, "recovery_attempts": 1} for word in ("CANCELLED", "ERROR", "SUCCESS")]


def _id(body: dict[str, Any]) -> str:
    return identity.workflow_id(body["formData"]["goal"])


def _send_start(api: Api, text: str) -> tuple[int, Any]:
    reply = api.request("POST", "/api/run", content=text)
    return reply.status, reply.json().get("workflowID", reply.body)


def _reverse_keys(value: Any) -> Any:
    """``value`` with the keys of every object in the opposite order."""
    if isinstance(value, dict):
        return {name: _reverse_keys(value[name]) for name in reversed(value)}
    return value


def _escape_strings(value: Any) -> str:
    r"""``value`` as JSON with every letter inside its strings written as ``\uXXXX``."""
    pieces = json.dumps(value, ensure_ascii=False).split('"')  # no string of ours holds a quote
    return '"'.join(_escape_letters(piece) if at % 2 else piece for at, piece in enumerate(pieces))


def _escape_letters(text: str) -> str:
    return "".join(f"\\u{ord(letter):04x}" if letter.isalpha() else letter for letter in text)
