"""S09: the database is where races are decided, and what survives when it goes away itself."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.http import Reply
from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.target import Target
from pytest_spec11.waiting import GIVE_UP_S, eventually
from scenarios.support.contract import identity
from scenarios.support.contract.start_requests import start
from scenarios.support.faults.crash_points import (
    answer_open_gates,
    arm_process,
    await_death,
    await_end,
    cut_off,
)
from scenarios.support.faults.servers import POSTMASTER, on_a_server_of_its_own
from scenarios.support.runs import exactly_once
from scenarios.support.runs.run_lifecycle import await_status, complete_run, park_run

pytestmark = pytest.mark.S09

HELD = 0x5EC11FB  # the prover's advisory lock
HOLD_ENQUEUE = f"""
CREATE OR REPLACE FUNCTION public.hold_enqueue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({HELD});
    RETURN NEW;
END $$;
CREATE TRIGGER prover_hold BEFORE INSERT ON dbos.workflow_status
    FOR EACH ROW EXECUTE FUNCTION public.hold_enqueue();
"""
HELD_BACK = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'spec11-api' AND wait_event = 'advisory'"
)
RUN = "SELECT id FROM app.runs WHERE workflow_id = %(w)s"
INTENT = "SELECT id FROM app.intents WHERE id = %(w)s"
WORKFLOW = "SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %(w)s"


@pytest.mark.claim("S09.orphan-heals")
def test_a_start_cut_in_half_leaves_nothing_and_its_repeat_runs(
    stacks: Stacks, unique_goal: str
) -> None:
    wid = identity.workflow_id(unique_goal)
    with stacks.start() as stack:
        stack.admin.execute(HOLD_ENQUEUE)
        with stack.admin.holding(HELD), ThreadPoolExecutor(1) as pool:
            asked = pool.submit(cut_off, lambda: post_start(stack, unique_goal))
            eventually(lambda: stack.admin.execute(HELD_BACK), deadline_s=10)
            assert stack.process("api").kill() == -signal.SIGKILL
            asked.result(GIVE_UP_S)
            stack.admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE application_name = 'spec11-api' AND datname = current_database()"
            )
        stack.admin.execute("DROP TRIGGER prover_hold ON dbos.workflow_status")
        rows = [sql.rows(q, w=wid) for sql, q in halves(stack)]
        assert rows == [[], [], []]

        stack.process("api").start()
        again = post_start(stack, unique_goal)

        assert (again.status, again.json()["isReplay"]) == (201, False)
        await_status(stack.api, wid, {"WAITING_INPUT"}, deadline_s=15)
        assert [len(sql.rows(q, w=wid)) for sql, q in halves(stack)] == [1, 1, 1]


@pytest.mark.claim("S09.orphan-heals")
def test_a_start_whose_answer_was_lost_runs_by_itself(
    stacks: Stacks, spec11_target: Target, unique_goal: str
) -> None:
    wid = identity.workflow_id(unique_goal)
    with stacks.start() as stack:
        process = arm_process(spec11_target.process("api"), "api.start.committed")
        dying = stack.begin(process)
        cut_off(lambda: stack.api_at(process.name).post("/api/run", json=start(unique_goal)))
        await_death(dying)

        await_status(stack.api, wid, {"WAITING_INPUT"}, deadline_s=15)

        again = post_start(stack, unique_goal)
        assert (again.status, again.json()["isReplay"]) == (200, True)
        assert [len(sql.rows(q, w=wid)) for sql, q in halves(stack)] == [1, 1, 1]


def post_start(stack: Stack, goal: str) -> Reply:
    return stack.api.post("/api/run", json=start(goal))


def halves(stack: Stack) -> list[tuple[Any, str]]:
    """Where a start leaves its rows."""
    return [(stack.app_sql, RUN), (stack.app_sql, INTENT), (stack.sys_sql, WORKFLOW)]


@pytest.fixture(scope="module")
def lively(stacks: Stacks) -> Iterator[Stack]:
    """A private stack on which runs have come to all their ends."""
    with stacks.start() as stack:
        yield stack


ENGINE = "spec11"  # its role
MOVE = "UPDATE app.runs SET status = '{to}' WHERE workflow_id = '{wid}'"
WORDS = (
    "queued", "running", "waiting_input", "repairing", "succeeded", "failed", "retries_exceeded",
    "canceled",
)  # fmt: skip
EXITS = {
    "succeeded": set[str](),
    "failed": {"repairing"},
    "retries_exceeded": {"repairing"},
    "canceled": {"queued", "running", "waiting_input"},
}


@pytest.mark.claim("S09.terminal-cas")
def test_the_database_lets_no_run_out_of_its_end_but_by_the_two_legal_exits(
    lively: Stack, provokes: Provokes, unique_goal: str
) -> None:
    done = complete_run(lively.api, f"{unique_goal} done")["workflowID"]
    failed = park_run(lively.api, f"{unique_goal} failed")["workflowID"]
    provokes(failed, "a plan is rejected on purpose")
    assert await_end(lively, failed, "no")["status"] == "ERROR"
    gone = park_run(lively.api, f"{unique_goal} gone")["workflowID"]
    by = {"actor": "ops", "reason": "drill"}
    assert lively.api.post(f"/api/ops/wf/{gone}/cancel", json=by).status == 202
    ends = {"succeeded": done, "retries_exceeded": failed, "canceled": gone}

    tried = {
        (word, to): lively.admin.try_statement(ENGINE, MOVE.format(to=to, wid=wid))
        for word, wid in ends.items()
        for to in WORDS
        if to != word
    }

    assert tried == {
        (word, to): 1 if to in EXITS[word] else "runs_terminal_is_terminal" for word, to in tried
    }
    assert {lively.sys_sql.value(WORKFLOW, w=wid) for wid in ends.values()} == {
        "SUCCESS", "ERROR", "CANCELLED",
    }  # fmt: skip


@pytest.mark.claim("S09.terminal-cas")
def test_a_late_workflow_of_a_finished_run_changes_nothing(lively: Stack, unique_goal: str) -> None:
    wid = complete_run(lively.api, unique_goal)["workflowID"]
    await_end(lively, wid)
    before = exactly_once.facts(lively, wid)

    lively.admin.execute(
        "SELECT dbos.enqueue_workflow(workflow_name => 'RunIntent', queue_name => 'intentQ',"
        " workflow_id => %(late)s, named_args => json_build_object('workflow_id', %(w)s::text),"
        " app_version => %(v)s, queue_partition_key => '', application_name => 'spec11')",
        late=f"late-{wid}", w=wid, v="v-under-test",
    )  # fmt: skip

    late = eventually(
        lambda: lively.sys_sql.value(WORKFLOW, w=f"late-{wid}"),
        deadline_s=20,
        until=lambda word: word not in {"ENQUEUED", "PENDING"},
    )
    assert late in {"SUCCESS", "ERROR"}
    assert exactly_once.facts(lively, wid) == before == exactly_once.expect_success(wid)


DUPLICATES = {
    "O4": "SELECT run_id, step_id, attempt FROM app.run_steps GROUP BY 1, 2, 3 HAVING count(*) > 1",
    "O5": (
        "SELECT run_id, step_id, task_key, attempt, idx FROM app.artifacts"
        " GROUP BY 1, 2, 3, 4, 5 HAVING count(*) > 1"
    ),
    "O6": (
        "SELECT workflow_id, gate_key, topic, dedupe_key FROM app.human_interactions"
        " GROUP BY 1, 2, 3, 4 HAVING count(*) > 1"
    ),
    "O9": "SELECT receipt_key FROM app.mock_receipts WHERE seen_count > 1",
    "O10": (
        "SELECT run_id, step_id, task_key, attempt FROM app.sbx_runs"
        " GROUP BY 1, 2, 3, 4 HAVING count(*) > 1"
    ),
}
DUPLICATES_OF_ENGINE = {
    "O19": (
        "SELECT workflow_uuid, key FROM dbos.workflow_events_history"
        " GROUP BY 1, 2 HAVING count(*) > 1"
    ),
    "O20": (
        "SELECT workflow_uuid FROM dbos.workflow_status WHERE workflow_uuid LIKE 'esc:%%'"
        " GROUP BY 1 HAVING count(*) > 1"
    ),
}
NONE_TWICE: dict[str, list[object]] = {name: [] for name in DUPLICATES}
NONE_OF_ENGINE_TWICE: dict[str, list[object]] = {name: [] for name in DUPLICATES_OF_ENGINE}
KEYS = {
    "run_steps_pkey", "artifacts_pkey", "human_interactions_once", "human_interactions_one_answer",
    "mock_receipts_pkey", "sbx_runs_pkey", "human_gates_pkey", "runs_workflow_key",
}  # fmt: skip
AGAIN = {  # a column of a stored row, and something else to tell in it
    "run_steps": ("output", "jsonb_build_object('forged', true)"),
    "artifacts": ("sha256", "repeat('0', 64)"),
    "sbx_runs": ("response", "jsonb_build_object('forged', true)"),
}
COLUMNS = (
    "SELECT attname FROM pg_attribute WHERE attrelid = %(t)s::regclass AND attnum > 0"
    " AND NOT attisdropped AND attgenerated = '' ORDER BY attnum"
)
STORED = "SELECT * FROM app.{table} WHERE run_id = %(r)s"
AGAIN_OF = (
    "INSERT INTO app.{table} ({names}) SELECT {told} FROM app.{table}"
    " WHERE run_id = '{run_id}' LIMIT 1"
)


@pytest.mark.claim("S09.no-duplicates")
def test_nothing_is_there_twice_and_the_keys_that_see_to_it_exist(
    lively: Stack, unique_goal: str
) -> None:
    wid = complete_run(lively.api, unique_goal)["workflowID"]
    await_end(lively, wid)

    app = {name: lively.app_sql.rows(query) for name, query in DUPLICATES.items()}
    engine = {name: lively.sys_sql.rows(query, x=0) for name, query in DUPLICATES_OF_ENGINE.items()}
    keys = lively.app_sql.rows(
        "SELECT conname FROM pg_constraint WHERE connamespace = 'app'::regnamespace"
    )

    assert (app, engine) == (NONE_TWICE, NONE_OF_ENGINE_TWICE)
    assert {row["conname"] for row in keys} >= KEYS
    counts = lively.sys_sql.one(
        "SELECT (SELECT count(*) FROM dbos.workflow_events_history) AS written,"
        " (SELECT count(*) FROM dbos.workflow_events) AS stored"
    )
    assert counts["written"] == counts["stored"] > 0
    assert exactly_once.facts(lively, wid) == exactly_once.expect_success(wid)


@pytest.mark.claim("S09.no-duplicates")
@pytest.mark.parametrize("table", AGAIN)
def test_a_stored_row_may_be_told_again_and_not_otherwise(
    lively: Stack, unique_goal: str, table: str
) -> None:
    wid = complete_run(lively.api, unique_goal)["workflowID"]
    run_id = lively.api.get(f"/api/runs/{wid}").json()["runId"]
    await_end(lively, wid)
    column, forged = AGAIN[table]
    names = [row["attname"] for row in lively.app_sql.rows(COLUMNS, t=f"app.{table}")]
    stored = STORED.format(table=table)
    before = lively.app_sql.rows(stored, r=run_id)
    assert before

    def again(value: str) -> str:
        told = ", ".join(value if name == column else name for name in names)
        return AGAIN_OF.format(table=table, names=", ".join(names), told=told, run_id=run_id)

    assert lively.admin.try_statement(ENGINE, again(column)) == 0
    assert lively.admin.try_statement(ENGINE, again(forged)) == f"{table}_diverges"
    assert lively.app_sql.rows(stored, r=run_id) == before
    assert lively.sys_sql.value(WORKFLOW, w=wid) == "SUCCESS"


@pytest.mark.claim("S09.postgres-restart")
def test_postgres_dies_under_twenty_runs_and_everything_is_where_it_should_be(
    stacks: Stacks, spec11_target: Target, unique_goal: str
) -> None:
    target = on_a_server_of_its_own(spec11_target, spec11_target.services[0])
    with stacks.of(target).start(env={"CHAOS_SLEEP_EXECUTE": "1000"}) as stack:
        waiting = [park_run(stack.api, f"{unique_goal} w{n}")["workflowID"] for n in range(8)]
        moving = [park_run(stack.api, f"{unique_goal} m{n}")["workflowID"] for n in range(6)]
        for wid in moving:
            answer_open_gates(stack, wid)
        fresh = [post_start(stack, f"{unique_goal} f{n}").json()["workflowID"] for n in range(6)]
        before = {name: stack.process(name).pid for name in ("api", "worker")}
        in_flight = stack.sys_sql.value(
            "SELECT count(*) FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING')"
        )
        assert in_flight >= 20

        server = stack.process("pg")
        (postmaster,) = stack.admin.execute(POSTMASTER)
        stack.proc.run(["kill", "-KILL", postmaster["pid"]])
        assert server.wait_exit(deadline_s=15) != 0
        server.start()

        eventually(lambda: stack.api.get("/healthz").status == 200, deadline_s=30)
        for wids in (waiting, moving, fresh):
            for wid in wids:
                answer_open_gates(stack, wid)  # all at once: each task takes its second
            for wid in wids:
                assert await_end(stack, wid)["status"] == "SUCCESS"
                assert exactly_once.facts(stack, wid) == exactly_once.expect_success(wid)
        assert {name: stack.process(name).pid for name in before} == before
        assert all(stack.process(name).alive for name in before)
        assert exactly_once.divergent(stack) == []


CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = 'spec11' AND pid <> pg_backend_pid()
ORDER BY random() LIMIT 1
"""


@pytest.mark.claim("S09.backends-cut")
def test_sessions_cut_at_random_lose_and_double_nothing(stacks: Stacks, unique_goal: str) -> None:
    with stacks.start() as stack:
        wids: list[str] = []
        cuts = 0

        def push_on() -> bool:
            nonlocal cuts
            cuts += len(stack.admin.execute(CUT))
            if len(wids) < 10:
                reply = post_start(stack, f"{unique_goal} {len(wids)}")
                if reply.status in {200, 201}:
                    wids.append(reply.json()["workflowID"])
            words = [retry_client(stack, wid) for wid in wids]
            return len(wids) == 10 and words.count("SUCCESS") == 10 and cuts >= 30

        eventually(push_on, deadline_s=90, every_s=0.2)

        assert cuts >= 30
        for wid in wids:
            await_end(stack, wid)
            assert exactly_once.facts(stack, wid) == exactly_once.expect_success(wid)
        assert exactly_once.divergent(stack) == []


def retry_client(stack: Stack, wid: str) -> str:
    """The run's status, after a client that repeats what failed looked and answered."""
    header = advanced_if_it_can(stack, wid)
    return str(header.get("status"))


def advanced_if_it_can(stack: Stack, wid: str) -> dict[str, Any]:
    reply = stack.api.get(f"/api/runs/{wid}")
    if reply.status != 200 or reply.json()["status"] != "WAITING_INPUT":
        found: dict[str, Any] = reply.json()
        return found
    gates = stack.api.get(f"/api/runs/{wid}/gates")
    if gates.status == 200:
        for gate in gates.json():
            path = f"/api/runs/{wid}/gates/{gate['gateKey']}/reply"
            body = {"payload": {"choice": "yes"}, "dedupeKey": "qa-1", "origin": "manual"}
            stack.api.post(path, json=body)
    return {}
