"""S03: a stored row that no reply may show is a bare 500 where it would show, and only there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from pytest_spec11.oracles.http import Reply
from pytest_spec11.oracles.snapshot import take
from pytest_spec11.run import Run
from pytest_spec11.stacks import Stack
from scenarios.support.contract import identity
from scenarios.support.contract.events import EVENTS, event
from scenarios.support.contract.inventory import Operation, operations
from scenarios.support.contract.start_requests import PARTITION, reply, start
from scenarios.support.faults.zero_writes import freeze_worker
from scenarios.support.probes.requests import REPLY, START, STORED
from scenarios.support.probes.subjects import RECIPE_ID, Subject, subject
from scenarios.support.runs.run_lifecycle import PARK_S, answer_run, await_status, park_run

pytestmark = pytest.mark.S03

PATCHED = {"topic": "a patch"}  # its plan writes one file
HEADER = {"GET /api/runs/{wid}", "POST /api/run", "POST /api/runs"}


@dataclass(frozen=True)
class Plant:
    """A row broken, and mended again, by the superuser; the routes that show it."""

    table: str
    breaks: str
    mends: str
    where: str
    shown_by: set[str]
    guarded: bool = False  # by triggers of its table, which would refuse the plant


PLANTS = {
    "hash": Plant(
        "app.runs",
        "intent_hash = 'x' || intent_hash",
        "intent_hash = substr(intent_hash, 2)",
        "workflow_id = %(wid)s",
        HEADER,
    ),
    "recovery count": Plant(
        "app.runs",
        "retry_count = retry_count - 1",
        "retry_count = retry_count + 1",
        "workflow_id = %(wid)s",
        HEADER,
    ),
    "attempt": Plant(
        "app.run_steps",
        "attempt = attempt - 1",
        "attempt = attempt + 1",
        "run_id = %(run)s AND step_id = 'DecideST'",
        {"GET /api/runs/{wid}/steps"},
    ),
    "content": Plant(
        "app.artifacts",
        "inline = jsonb_build_array(inline)",
        "inline = inline -> 0",
        "uri = %(uri)s",
        {"GET /api/artifacts/{uri}"},
    ),
    "prompt": Plant(
        "app.human_gates",
        "prompt = jsonb_set(prompt, '{ttlS}', to_jsonb((prompt ->> 'ttlS')::int + 86400))",
        "prompt = jsonb_set(prompt, '{ttlS}', to_jsonb((prompt ->> 'ttlS')::int - 86400))",
        "run_id = %(run)s",
        {"GET /api/runs/{wid}/gates", "GET /api/runs/{wid}/gates/{gateKey}"},
    ),
    "answer": Plant(
        "app.human_interactions",
        "created_at = created_at - interval '100 years'",
        "created_at = created_at + interval '100 years'",
        "run_id = %(run)s",
        {"GET /api/runs/{wid}/interactions"},
    ),
    "patch": Plant(
        "app.patch_history",
        "created_at = created_at - interval '100 years'",
        "created_at = created_at + interval '100 years'",
        "run_id = %(run)s",
        {"GET /api/runs/{wid}/steps/{stepId}/patches"},
    ),
    "open gate": Plant(
        "app.human_gates",
        "created_at = created_at - interval '100 years'",
        "created_at = created_at + interval '100 years'",
        "workflow_id = %(waits)s",
        {"GET /api/hitl/inbox"},
    ),
    "recipe": Plant(
        "app.recipe_versions",
        "created_at = created_at - interval '100 years'",
        "created_at = created_at + interval '100 years'",
        "id = %(recipe)s AND v = 'v1'",
        {"GET /api/recipes/{id}/versions", "GET /api/recipes"},
        guarded=True,
    ),
    "queued": Plant(
        "dbos.workflow_status",
        "created_at = -created_at",
        "created_at = -created_at",
        "workflow_uuid = %(waits)s",
        {"GET /api/ops/queue-depth", "GET /api/ops/throughput"},
    ),
    "workflow": Plant(
        "dbos.workflow_status",
        "updated_at = -updated_at",
        "updated_at = -updated_at",
        "workflow_uuid = %(wid)s",
        {"GET /api/ops/wf", "GET /api/ops/wf/{id}"},
    ),
    "operation": Plant(
        "dbos.operation_outputs",
        "started_at_epoch_ms = -started_at_epoch_ms",
        "started_at_epoch_ms = -started_at_epoch_ms",
        "workflow_uuid = %(wid)s AND function_id = 1",
        {"GET /api/ops/wf/{id}/steps"},
    ),
}
# What every other route would show is in PLANTS. A stream of words has begun before it could fail;
# cards and packs are there to tell of broken rows, so they show them as they are.
SHOW_NO_ROW = {
    *("GET /api/runs/{wid}/proofs", "GET /api/runs/{wid}/repro"),
    *("GET /healthz", "GET /openapi.json", "GET /marks", "GET /api/runs/{wid}/stream/status"),
    "GET /api/ops/signoff",  # an odd word is a divergence there
    *("POST /api/runs/{wid}/gates/{gateKey}/reply", "POST /api/events/hitl"),
}


@dataclass(frozen=True)
class Story:
    """A run that ended, under a name of its own, and one that waits."""

    goal: str
    ended: Subject
    waits: str

    def read_routes(self, stack: Stack) -> dict[str, Reply]:
        """The reply of every route that can be asked about the ended run without writing."""
        repeats = {
            START: start(self.goal, form=PATCHED),
            STORED: {"intentId": self.ended.wid, "queuePartitionKey": PARTITION},
            REPLY: reply(),
            EVENTS: event(self.ended.wid, self.ended.gate_key, dedupeKey="qa-1"),
        }
        return {
            each.route: stack.api.request(each.method, self._url(each), json=repeats.get(each.path))
            for each in operations(stack.api)
            if each.method == "GET" or each.path in repeats
        }

    def _url(self, each: Operation) -> str:
        """Of all workflows only runs that succeeded are listed; the ended run is among them."""
        few = "?name=RunIntent&status=SUCCESS&limit=200"
        query = few if each.path == "/api/ops/wf" else ""
        return f"{self.ended.url(each)}{query}"


@pytest.fixture(scope="session")
def story(lab: Stack, spec11_run: Run) -> Story:
    """Both runs, begun once."""
    goal = f"{__name__} of {spec11_run.id}"
    wid = lab.api.post("/api/run", json=start(goal, form=PATCHED)).json()["workflowID"]
    await_status(lab.api, wid, {"WAITING_INPUT"}, deadline_s=PARK_S)
    assert answer_run(lab.api, wid)["status"] == "SUCCESS"
    ended = subject(lab.api, wid)
    return Story(goal, ended, park_run(lab.api, f"{goal}, waiting")["workflowID"])


@contextmanager
def _plant_row(stack: Stack, plant: Plant, story: Story) -> Iterator[None]:
    rows = {
        "wid": story.ended.wid,
        "run": identity.run_id(story.ended.wid),
        "uri": story.ended.uri,
        "waits": story.waits,
        "recipe": RECIPE_ID,
    }
    update = f"UPDATE {plant.table} SET {{}} WHERE {plant.where}"  # noqa: S608  # our own PLANTS
    if plant.guarded:
        stack.admin.execute(f"ALTER TABLE {plant.table} DISABLE TRIGGER USER")
    stack.admin.execute(update.format(plant.breaks), **rows)
    try:
        yield
    finally:
        stack.admin.execute(update.format(plant.mends), **rows)
        if plant.guarded:
            stack.admin.execute(f"ALTER TABLE {plant.table} ENABLE TRIGGER USER")


@pytest.mark.claim("S03.egress-is-500")
@pytest.mark.parametrize("name", PLANTS)
def test_a_broken_row_is_500_where_it_shows_and_nowhere_else(
    lab: Stack, story: Story, name: str
) -> None:
    plant = PLANTS[name]
    with freeze_worker(lab):
        before = [take(oracle) for oracle in (lab.app_sql, lab.sys_sql)]
        with _plant_row(lab, plant, story):
            during = [take(oracle) for oracle in (lab.app_sql, lab.sys_sql)]
            broken = story.read_routes(lab)
            bystander = lab.api.get(f"/api/runs/{story.waits}")
        mended = story.read_routes(lab)

    changes = [each for was, now in zip(before, during, strict=True) for each in was.changes(now)]
    assert [each.partition(":")[0] for each in changes] == [plant.table]  # else nothing was planted
    assert (
        set[str]().union(*(each.shown_by for each in PLANTS.values())) == set(broken) - SHOW_NO_ROW
    )
    statuses = {route: reply.status for route, reply in broken.items()}
    assert {route for route, status in statuses.items() if status == 500} == plant.shown_by
    assert set(statuses.values()) == {200, 500}
    bodies = {route: broken[route].json() for route in plant.shown_by}
    assert bodies == {route: {"error": "internal error"} for route in bodies}
    assert bystander.status == 200
    assert {reply.status for reply in mended.values()} == {200}
