"""S00: migrations are whole or not at all, and repeating them changes nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.waiting import eventually
from scenarios.support.contract.commands import engine, engine_process
from scenarios.support.contract.schema_dump import fingerprint
from scenarios.support.contract.start_requests import start
from scenarios.support.runs.run_lifecycle import complete_run

pytestmark = pytest.mark.S00
HELD = 99_357_178  # the prover's advisory lock
# Every ledger gets a trigger the moment it is created; it counts, and blocks at the armed insert.
WATCH = """
CREATE SCHEMA prover;
CREATE TABLE prover.plan (armed integer NOT NULL);
CREATE SEQUENCE prover.inserts;
INSERT INTO prover.plan VALUES (0);
CREATE FUNCTION prover.block() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('prover.inserts') = (SELECT armed FROM prover.plan) THEN
        PERFORM pg_advisory_xact_lock(99357178);
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION prover.attach() RETURNS event_trigger SECURITY DEFINER LANGUAGE plpgsql AS $$
DECLARE made record;
BEGIN
    FOR made IN SELECT object_identity AS name FROM pg_event_trigger_ddl_commands()
                WHERE object_identity IN ('app.schema_migrations', 'dbos.dbos_migrations') LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER prover_block BEFORE INSERT OR UPDATE ON %s'
                       ' FOR EACH ROW EXECUTE FUNCTION prover.block()', made.name);
    END LOOP;
END $$;
CREATE EVENT TRIGGER attach_block ON ddl_command_end WHEN TAG IN ('CREATE TABLE')
    EXECUTE FUNCTION prover.attach();
GRANT USAGE ON SCHEMA prover TO spec11_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA prover TO spec11_reader;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA prover TO spec11_reader;
"""


@pytest.fixture
def empty(stacks: Stacks) -> Iterator[Stack]:
    """A private database without a process."""
    with stacks.start(only=()) as stack:
        yield stack


def _read_lasting_state(stack: Stack) -> dict[str, Any]:
    """All that a repeated migration must leave as it is."""
    return {
        **fingerprint(stack.app_sql, stack.sys_sql),
        "recipes": stack.app_sql.rows("SELECT * FROM app.recipe_versions ORDER BY id, v"),
        "intents": stack.app_sql.rows("SELECT * FROM app.intents ORDER BY id"),
        "runs": stack.app_sql.rows("SELECT * FROM app.runs ORDER BY id"),
        "ledger": stack.app_sql.rows("SELECT * FROM app.schema_migrations ORDER BY version"),
        "theirs": stack.sys_sql.rows("SELECT * FROM dbos.dbos_migrations ORDER BY version"),
    }


@pytest.mark.claim("S00.migrate-twice-identical")
def test_migrating_twice_more_changes_nothing_and_the_run_still_replays(
    empty: Stack, unique_goal: str
) -> None:
    assert engine(empty, "db", "reset", "--yes").code == 0
    assert engine(empty, "db", "migrate").code == 0
    for name in ("api", "worker"):
        empty.process(name).start()
    header = complete_run(empty.api, unique_goal)
    before = _read_lasting_state(empty)
    assert [row["id"] for row in before["intents"]] == [header["workflowID"]]
    assert len(before["recipes"]) == 10

    codes = [engine(empty, "db", "migrate").code for _ in range(2)]

    assert codes == [0, 0]
    assert _read_lasting_state(empty) == before
    again = empty.api.post("/api/run", json=start(unique_goal))
    assert (again.status, again.json()["isReplay"]) == (200, True)
    assert again.json()["workflowID"] == header["workflowID"]


@pytest.mark.claim("S00.migrate-crash-atomic")
def test_a_killed_migration_leaves_whole_files_and_the_next_one_finishes(empty: Stack) -> None:
    empty.admin.execute(WATCH)
    whole, inserts = _migrate_uninterrupted(empty)
    assert inserts >= 3

    for armed in (1, inserts // 2, inserts):
        _reset(empty, armed)
        with empty.admin.holding(HELD):
            migrating = engine_process(empty, "db", "migrate")
            backend = eventually(lambda: _find_blocked_backend(empty), deadline_s=20)
            migrating.signal(signal.SIGKILL)
            assert migrating.wait_exit(deadline_s=5) == -signal.SIGKILL
            empty.admin.execute("SELECT pg_terminate_backend(%(pid)s, 5000)", pid=backend)
        empty.admin.execute("UPDATE prover.plan SET armed = 0")
        assert engine(empty, "db", "migrate").code == 0
        assert fingerprint(empty.app_sql, empty.sys_sql) == whole


@pytest.mark.claim("S00.migrate-crash-atomic")
def test_two_migrations_at_once_both_end_with_the_dump_of_one(empty: Stack) -> None:
    empty.admin.execute(WATCH)
    whole, _ = _migrate_uninterrupted(empty)
    _reset(empty, armed=1)
    with empty.admin.holding(HELD):
        first = engine_process(empty, "db", "migrate")
        eventually(lambda: _find_blocked_backend(empty), deadline_s=20)
        alone = _sessions(empty)
        second = engine_process(empty, "db", "migrate")
        eventually(lambda: _sessions(empty) > alone, deadline_s=20)
        assert (first.alive, second.alive) == (True, True)

    assert [each.wait_exit(deadline_s=30) for each in (first, second)] == [0, 0]
    assert fingerprint(empty.app_sql, empty.sys_sql) == whole


@pytest.mark.claim("S00.migrate-crash-atomic")
def test_an_applied_file_that_was_changed_is_refused(empty: Stack) -> None:
    before = fingerprint(empty.app_sql, empty.sys_sql)
    empty.admin.execute(
        "UPDATE app.schema_migrations SET sha256 = repeat('0', 64) WHERE version = 1"
    )

    refused = engine(empty, "db", "migrate")

    assert refused.code != 0
    assert "0001_schema changed since applied" in refused.stderr
    assert fingerprint(empty.app_sql, empty.sys_sql) == before


def _reset(stack: Stack, armed: int) -> None:
    assert engine(stack, "db", "reset", "--yes").code == 0
    stack.admin.execute("UPDATE prover.plan SET armed = %(n)s", n=armed)
    stack.admin.execute("ALTER SEQUENCE prover.inserts RESTART")


def _migrate_uninterrupted(stack: Stack) -> tuple[dict[str, str], int]:
    """The dump of a migration from nothing, and how many rows its ledgers were written."""
    _reset(stack, armed=0)
    assert engine(stack, "db", "migrate").code == 0
    written: int = stack.app_sql.value(
        "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM prover.inserts"
    )
    return fingerprint(stack.app_sql, stack.sys_sql), written


def _find_blocked_backend(stack: Stack) -> int | None:
    """The backend of the migration that waits at the armed insert."""
    rows = stack.app_sql.rows(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %(key)s AND NOT granted",
        key=HELD,
    )
    return rows[0]["pid"] if rows else None


def _sessions(stack: Stack) -> int:
    """How many sessions the engine's role has on the stack's database."""
    count: int = stack.app_sql.value(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND usename = 'spec11'"
    )
    return count
