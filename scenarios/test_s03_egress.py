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
from scenarios import identity
from scenarios.events import EVENTS, event
from scenarios.intents import PARTITION, reply, start
from scenarios.inventory import operations
from scenarios.lives import parked, succeeded
from scenarios.stillness import frozen

pytestmark = pytest.mark.S03

HEADER = {"GET /api/runs/{wid}", "POST /api/run", "POST /api/runs"}


@dataclass(frozen=True)
class Plant:
    """A row broken, and mended again, by the superuser; the routes that show it."""

    table: str
    breaks: str
    mends: str
    where: str
    shown_by: set[str]


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
    "open gate": Plant(
        "app.human_gates",
        "created_at = created_at - interval '100 years'",
        "created_at = created_at + interval '100 years'",
        "workflow_id = %(other)s",
        {"GET /api/hitl/inbox"},
    ),
    "recipe": Plant(
        "app.recipe_versions",
        "created_at = created_at - interval '100 years'",
        "created_at = created_at + interval '100 years'",
        "id = 'seed.r02' AND v = 'v1'",
        {"GET /api/recipes/{id}/versions", "GET /api/recipes"},
    ),
    "workflow": Plant(
        "dbos.workflow_status",
        "created_at = -created_at",
        "created_at = -created_at",
        "workflow_uuid = %(other)s",
        {"GET /api/ops/queue-depth"},
    ),
}


# What every other route would show is in PLANTS. A stream of words has begun before it could fail.
SHOW_NO_ROW = {
    *("GET /healthz", "GET /openapi.json", "GET /api/runs/{wid}/stream/status"),
    *("POST /api/runs/{wid}/gates/{gateKey}/reply", "POST /api/events/hitl"),
}


@dataclass(frozen=True)
class Story:
    """A run that ended and one that waits: what every route can be asked about."""

    goal: str
    wid: str
    gate_key: str
    uri: str
    other: str

    def shown(self, stack: Stack) -> dict[str, Reply]:
        """The reply of every route about the run that ended; nothing here writes."""
        names = {"wid": self.wid, "gateKey": self.gate_key, "id": "seed.r02"}
        repeats = {
            "/api/run": start(self.goal),
            "/api/runs": {"intentId": self.wid, "queuePartitionKey": PARTITION},
            "/api/runs/{wid}/gates/{gateKey}/reply": reply(),
            EVENTS: event(self.wid, self.gate_key, dedupeKey="qa-1"),
        }
        return {
            f"{each.method} {each.path}": stack.api.request(
                each.method, each.at(uri=self.uri, **names), json=repeats.get(each.path)
            )
            for each in operations(stack.api)
        }


@pytest.fixture(scope="session")
def story(lab: Stack, spec11_run: Run) -> Story:
    """Both runs, begun once."""
    goal = f"{__name__} of {spec11_run.id}"
    wid = succeeded(lab.api, goal)["workflowID"]
    other = parked(lab.api, f"{goal}, waiting")["workflowID"]
    (gate,) = lab.api.get(f"/api/runs/{wid}/gates").json()
    (first, *_) = lab.api.get(f"/api/runs/{wid}/steps").json()
    return Story(goal, wid, gate["gateKey"], first["artifactRefs"][0]["id"], other)


@contextmanager
def _planted(stack: Stack, plant: Plant, story: Story) -> Iterator[None]:
    rows = {
        "wid": story.wid,
        "run": identity.run_id(story.wid),
        "uri": story.uri,
        "other": story.other,
    }
    update = f"UPDATE {plant.table} SET {{}} WHERE {plant.where}"  # noqa: S608  # our own PLANTS
    stack.admin.execute(update.format(plant.breaks), **rows)
    try:
        yield
    finally:
        stack.admin.execute(update.format(plant.mends), **rows)


@pytest.mark.claim("S03.egress-is-500")
@pytest.mark.parametrize("name", PLANTS)
def test_a_broken_row_is_500_where_it_shows_and_nowhere_else(
    lab: Stack, story: Story, name: str
) -> None:
    plant = PLANTS[name]
    with frozen(lab):
        before = [take(oracle) for oracle in (lab.app_sql, lab.sys_sql)]
        with _planted(lab, plant, story):
            during = [take(oracle) for oracle in (lab.app_sql, lab.sys_sql)]
            broken = story.shown(lab)
            bystander = lab.api.get(f"/api/runs/{story.other}")
        mended = story.shown(lab)

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
