"""Recipes on their way to stable: what is brought in, promoted, and recorded of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pytest_spec11.canon import digest
from pytest_spec11.oracles.http import Api, Reply
from pytest_spec11.oracles.sql import Row, Sql
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity, recipes

IMPORT, EXPORT = "/api/recipes/import", "/api/recipes/export"
PROMOTE = "/api/recipes/{id}/versions/{v}/promote"
ENDS_S = 120.0
# Where a process may die over a promotion alone.
WORKER_POINTS = tuple(
    f"worker.{step}.{moment}" for step in ("rehearse", "settle") for moment in ("before", "after")
)
API_POINTS = tuple(
    f"api.{request}.{moment}"
    for request in ("import", "promote")
    for moment in ("received", "committed")
)
PLAN = "artifact://run/*/step/CompileST/task//plan.json"
OUT = "artifact://run/*/step/ExecuteST/task/*/files/out.json"
STANDS = """
SELECT n.status, r.active_v, n.hash, n.xmin::text AS written, r.xmin::text AS pointed
FROM app.recipe_versions n JOIN app.recipes r USING (id) WHERE n.id = %(id)s AND n.v = %(v)s
"""
FOUND = """
SELECT e.promotion_id, e.round, e.fixture_id, e.check_id, e.pass, e.reason, e.intent_hash
FROM app.eval_results e JOIN app.promotions p ON p.id = e.promotion_id
WHERE p.recipe_id = %(id)s AND p.v = %(v)s
ORDER BY p.number, e.fixture_id, e.check_id, e.round
"""
TRIES = """
SELECT id, state, outcome_hashes FROM app.promotions WHERE recipe_id = %(id)s AND v = %(v)s
ORDER BY number
"""
# More than one row for a check of a round of a fixture (O11).
DOUBLES = """
SELECT promotion_id, round, fixture_id, check_id FROM app.eval_results
GROUP BY 1, 2, 3, 4 HAVING count(*) > 1
"""
WORKFLOWS = "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = ANY(%(ids)s)"


def spec(app_sql: Sql, recipe_id: str, v: str = "v1", **changes: Any) -> dict[str, Any]:
    """A version of a recipe of our own: ``compile-default@v1`` but for the changes."""
    return {**recipes.spec(app_sql), "id": recipe_id, "v": v, "name": recipe_id, **changes}


def import_specs(api: Api, *specs: dict[str, Any], bundle: str = "a bundle") -> Reply:
    """The answer to an import of the specs."""
    return api.post(IMPORT, json={"id": bundle, "versions": list(specs)})


def url(of: dict[str, Any]) -> str:
    """Where the version is promoted."""
    return PROMOTE.format(id=quote(of["id"], safe=""), v=quote(of["v"], safe=""))


def promote_version(api: Api, of: dict[str, Any]) -> Reply:
    """The answer to one step of the version, once there is one: a long promotion is asked again."""
    return eventually(
        lambda: api.post(url(of)), deadline_s=ENDS_S, until=lambda reply: reply.status != 202
    )


def candidate(api: Api, of: dict[str, Any]) -> dict[str, Any]:
    """The spec, which was brought in and is a candidate now."""
    assert import_specs(api, of).status == 201
    step = api.post(url(of))
    assert (step.status, step.json()["status"]) == (200, "candidate")
    return of


def stable(api: Api, of: dict[str, Any]) -> dict[str, str]:
    """A ref of the spec, which was brought in and is stable now."""
    step = promote_version(api, candidate(api, of))
    assert (step.status, step.json()["status"]) == (200, "stable")
    return {"id": of["id"], "v": of["v"]}


def stands(app_sql: Sql, of: dict[str, Any]) -> Row:
    """The version's row and the pointer of its recipe, with the transactions that wrote them."""
    return app_sql.one(STANDS, id=of["id"], v=of["v"])


def read_findings(app_sql: Sql, of: dict[str, Any]) -> list[Row]:
    """Every finding of every promotion of the version."""
    return app_sql.rows(FOUND, id=of["id"], v=of["v"])


def tries(app_sql: Sql, of: dict[str, Any]) -> list[Row]:
    """Every promotion of the version, the first one first."""
    return app_sql.rows(TRIES, id=of["id"], v=of["v"])


def results(rows: list[Row]) -> list[tuple[str, str, int]]:
    """Fixture, check and round of each finding."""
    return [(row["fixture_id"], row["check_id"], row["round"]) for row in rows]


def due(of: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Fixture, check and round of every finding that one promotion has to leave."""
    return [
        (fixture["id"], check["id"], number)
        for fixture in sorted(of["fixtures"], key=lambda each: str(each["id"]))
        for check in sorted(of["eval"], key=lambda each: str(each["id"]))
        for number in (1, 2)
    ]


def intents(of: dict[str, Any]) -> dict[str, str]:
    """The hash of the intent that each fixture stands for, by our own rendering."""
    rendered = {
        each["id"]: identity.instantiate_intent(of, each["formData"]) for each in of["fixtures"]
    }
    return {name: digest(intent) for name, intent in rendered.items()}


def workflows(stack: Stack, of: dict[str, Any]) -> list[str]:
    """What the durable engine says of each promotion of the version."""
    ids = [each["id"] for each in tries(stack.app_sql, of)]
    return [row["status"] for row in stack.sys_sql.rows(WORKFLOWS, ids=ids)]
