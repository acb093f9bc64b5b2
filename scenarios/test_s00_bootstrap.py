"""S00: the stack says what it is, what it was made with, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from pytest_spec11.canon import digest
from pytest_spec11.oracles.http import Api
from pytest_spec11.oracles.sql import Sql
from pytest_spec11.stacks import Stack
from pytest_spec11.waiting import eventually
from scenarios.support.contract import identity
from scenarios.support.contract.recipes import SEEDED
from scenarios.support.runs.run_lifecycle import complete_run

pytestmark = pytest.mark.S00
ACTIVE = (  # the course's own query (L10)
    "select rv.id||'@'||rv.v from app.recipe_versions rv join app.recipes r on r.id=rv.id"
    " and r.active_v=rv.v order by rv.created_at desc limit 1"
)
WITHIN_S = 3.0


@pytest.mark.claim("S00.stack-answers")
def test_a_healthy_stack_says_what_runs(
    api: Api, app_sql: Sql, sys_sql: Sql, app_version: str
) -> None:
    health = eventually(lambda: _with_workers(api), deadline_s=10)

    assert (health["ok"], health["reasons"]) == (True, [])
    assert (health["appVersion"], health["wantedVersion"]) == (app_version, app_version)
    assert health["postgres"] == {"ok": True, "version": app_sql.value("SHOW server_version")}
    ours = app_sql.value("SELECT max(version) FROM app.schema_migrations")
    theirs = sys_sql.value("SELECT max(version) FROM dbos.dbos_migrations")
    assert health["schemas"] == {"app": ours, "dbos": theirs}
    assert {worker["appVersion"] for worker in health["workers"]} == {app_version}
    live = app_sql.rows(
        "SELECT executor_id FROM app.executors WHERE seen_at > now() - '5 s'::interval"
    )
    assert {one["executorId"] for one in health["workers"]} == {row["executor_id"] for row in live}
    depth = api.get("/api/ops/queue-depth?limit=5")
    assert (depth.status, type(depth.json())) == (200, list)
    assert (app_sql.value("select 1"), sys_sql.value("select 1")) == (1, 1)


def _with_workers(api: Api) -> dict[str, Any] | None:
    reply = api.get("/healthz")
    health: dict[str, Any] = reply.json()
    return health if reply.status == 200 and health["workers"] else None


@contextmanager
def _refusing(stack: Stack) -> Iterator[None]:
    """Postgres refuses the engine's role, whose connections are cut; the prover's stay."""
    name = stack.app_sql.value("SELECT current_database()")
    with _swap_schema(
        stack,
        f'ALTER DATABASE "{name}" CONNECTION LIMIT 0',
        f'ALTER DATABASE "{name}" CONNECTION LIMIT -1',
    ):
        stack.admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename = 'spec11'"
        )
        yield


@contextmanager
def _swap_schema(stack: Stack, there: str, back: str) -> Iterator[None]:
    stack.admin.execute(there)
    try:
        yield
    finally:
        stack.admin.execute(back)


def _hide_schema(stack: Stack, schema: str) -> AbstractContextManager[None]:
    return _swap_schema(
        stack,
        f"ALTER SCHEMA {schema} RENAME TO gone",
        f"ALTER SCHEMA gone RENAME TO {schema}",
    )


def _age_ledger(stack: Stack, ledger: str) -> AbstractContextManager[None]:
    """The newest row of ``ledger`` says, for a while, that it is an old one."""
    return _swap_schema(
        stack,
        f"UPDATE {ledger} SET version = version - 1000"  # noqa: S608  # a table of our list
        f" WHERE version = (SELECT max(version) FROM {ledger})",
        f"UPDATE {ledger} SET version = version + 1000 WHERE version < 0",  # noqa: S608  # as above
    )


# What is done to the stack, and the words one of which the reason has to say.
FAULTS: dict[str, tuple[Callable[[Stack], AbstractContextManager[None]], str]] = {
    "refuses": (_refusing, "postgres"),
    "no app": (lambda stack: _hide_schema(stack, "app"), "schema app"),
    "no dbos": (lambda stack: _hide_schema(stack, "dbos"), "schema dbos"),
    "old app": (lambda stack: _age_ledger(stack, "app.schema_migrations"), "schema app"),
    "old dbos": (lambda stack: _age_ledger(stack, "dbos.dbos_migrations"), "schema dbos"),
}


@pytest.mark.claim("S00.stack-answers")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_stack_is_503_within_three_seconds_and_names_why(idle: Stack, fault: str) -> None:
    plant, named = FAULTS[fault]
    assert idle.api.get("/healthz").status == 200

    with plant(idle):
        reply = idle.api.get("/healthz")

    health = reply.json()
    assert (reply.status, health["ok"]) == (503, False)
    assert reply.own_s < WITHIN_S
    assert [reason for reason in health["reasons"] if named in reason]
    eventually(lambda: idle.api.get("/healthz").status == 200, deadline_s=10)


@pytest.mark.claim("S00.seed-pack-stable")
def test_ten_recipes_are_stable_hashed_and_instantiate(app_sql: Sql) -> None:
    versions = app_sql.rows("SELECT id, v, status, hash, json FROM app.recipe_versions ORDER BY id")
    fixtures = app_sql.rows("SELECT recipe_id, v, json FROM app.recipe_fixtures")

    assert [(row["id"], row["v"], row["status"]) for row in versions] == [
        (name, "v1", "stable") for name in SEEDED
    ]
    for row in versions:
        assert row["hash"] == digest(row["json"])
        assert len(row["json"]["eval"]) >= 1
        of_this = [each for each in fixtures if (each["recipe_id"], each["v"]) == (row["id"], "v1")]
        assert len(of_this) >= 1
        for fixture in of_this:
            intent = identity.instantiate_intent(row["json"], fixture["json"]["formData"])
            assert intent["goal"].strip()
            assert "{{" not in str(intent)


@pytest.mark.claim("S00.seed-pack-stable")
def test_the_courses_active_recipe_is_compile_default_every_time(app_sql: Sql) -> None:
    assert [app_sql.value(ACTIVE) for _ in range(20)] == ["compile-default@v1"] * 20


@pytest.mark.claim("S00.versions-agree")
def test_every_engine_row_of_three_runs_has_the_configured_version(
    api: Api, sys_sql: Sql, app_version: str, unique_goal: str
) -> None:
    headers = [complete_run(api, f"{unique_goal} {number}") for number in range(3)]

    parents = [header["workflowID"] for header in headers]
    rows = sys_sql.rows(
        "SELECT parent_workflow_id, application_version FROM dbos.workflow_status"
        " WHERE workflow_uuid = ANY(%(all)s) OR parent_workflow_id = ANY(%(all)s)",
        all=parents,
    )
    assert len(rows) >= 6
    assert {row["parent_workflow_id"] for row in rows} == {None, *parents}
    assert {row["application_version"] for row in rows} == {app_version}
    for header in headers:
        assert (header["workflowVersion"], header["appVersion"]) == (app_version, app_version)
