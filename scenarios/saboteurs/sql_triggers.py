"""Triggers, constraints and rows that are planted in a stack's database."""

from __future__ import annotations

from itertools import count
from typing import Final

_NUMBERS = count(1)
# A copy of a row under the same key: nobody's triggers and foreign keys are asked.
_DOUBLED: Final = """
CREATE FUNCTION saboteur.twin_{name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET session_replication_role = replica AS $fault$
BEGIN
    PERFORM {{hit}};
    INSERT INTO {table} ({columns}) SELECT {values};
    RETURN NULL;
END $fault$;
CREATE TRIGGER zz_twin AFTER INSERT ON {table} FOR EACH ROW WHEN ({when})
EXECUTE FUNCTION saboteur.twin_{name}();
"""


def rowwise(moment: str, body: str, when: str = "true") -> str:
    """A trigger that runs ``body`` for each row, as superuser and after all other triggers.

    ``moment`` is such as ``BEFORE INSERT ON app.runs``. The body changes NEW or returns NULL.
    """
    name = f"fault_{next(_NUMBERS)}"
    return f"""
CREATE FUNCTION saboteur.{name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $fault$
BEGIN
    PERFORM {{hit}};
    {body}
    RETURN NEW;
END $fault$;
CREATE TRIGGER zz_{name} {moment} FOR EACH ROW WHEN ({when})
EXECUTE FUNCTION saboteur.{name}();
"""


def swallow_rows(table: str, when: str = "true") -> str:
    """Rows of that kind never arrive."""
    return rowwise(f"BEFORE INSERT ON {table}", "RETURN NULL;", when)


def double_rows(table: str, columns: str, values: str, when: str = "true") -> str:
    """Each row of that kind gets a twin; ``columns`` of the twin are ``values`` of NEW."""
    name = f"{next(_NUMBERS)}"
    return _DOUBLED.format(name=name, table=table, columns=columns, values=values, when=when)


CONTENT_EDIT = rowwise(
    "BEFORE INSERT ON app.artifacts",
    """NEW.inline := CASE WHEN NEW.inline ? 'text'
        THEN jsonb_set(NEW.inline, '{text}', to_jsonb('edited ' || (NEW.inline ->> 'text')))
        ELSE NEW.inline || '{"edited": true}' END;""",
)
DROP_KEYS = """
ALTER TABLE app.human_interactions
    DROP CONSTRAINT human_interactions_once, DROP CONSTRAINT human_interactions_one_answer,
    DROP CONSTRAINT human_interactions_hash_check, DROP CONSTRAINT human_interactions_origin_check,
    DROP CONSTRAINT human_interactions_run_check;
ALTER TABLE app.patch_history DROP CONSTRAINT patch_history_pkey;
DROP TRIGGER runs_terminal_is_terminal ON app.runs;
SELECT {hit};
"""
_DIGIT: Final = "CASE left({hash}, 1) WHEN '0' THEN '1' ELSE '0' END || substr({hash}, 2)"
# At the end of the transaction: who brings a draft in looks at once whether it is the same.
DRAFT_EDIT: Final = f"""
CREATE FUNCTION saboteur.edit_draft() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET session_replication_role = replica AS $fault$
BEGIN
    PERFORM {{hit}};
    UPDATE app.recipe_versions SET hash = {_DIGIT.format(hash="hash")}
    WHERE (id, v) = (NEW.id, NEW.v);
    RETURN NULL;
END $fault$;
CREATE CONSTRAINT TRIGGER zz_edit_draft AFTER INSERT ON app.recipe_versions
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.status = 'draft')
EXECUTE FUNCTION saboteur.edit_draft();
"""  # noqa: S608  # our own words
HASH_EDIT = (
    "ALTER TABLE app.intents DROP CONSTRAINT intents_hash_check;"
    + rowwise(
        "BEFORE INSERT ON app.intents",
        f"NEW.intent_hash := {_DIGIT.format(hash='NEW.intent_hash')};",
    )
    + rowwise(
        "BEFORE INSERT ON app.human_interactions",
        f"NEW.payload_hash := {_DIGIT.format(hash='NEW.payload_hash')};",
    )
    + DRAFT_EDIT
)
LATE_GATE = """
CREATE TABLE saboteur.late (moment timestamptz DEFAULT clock_timestamp(), gate app.human_gates);
CREATE FUNCTION saboteur.keep_back() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $fault$
BEGIN
    PERFORM {hit};
    DELETE FROM app.human_gates WHERE run_id = NEW.run_id AND gate_key = NEW.gate_key;
    INSERT INTO saboteur.late (gate) VALUES (NEW);
    RETURN NULL;
END $fault$;
CREATE TRIGGER zz_late AFTER INSERT ON app.human_gates FOR EACH ROW WHEN (pg_trigger_depth() = 0)
EXECUTE FUNCTION saboteur.keep_back();
"""
LATE_GATE_TICK = """
WITH due AS (
    DELETE FROM saboteur.late WHERE moment < clock_timestamp() - interval '2 s' RETURNING gate
), quiet AS (SELECT set_config('session_replication_role', 'replica', false))
INSERT INTO app.human_gates SELECT (gate).* FROM due, quiet
"""
QUEUE_EDIT = rowwise(
    "BEFORE INSERT ON dbos.workflow_status",
    """NEW.priority := coalesce(NEW.priority, 0) + 1;
    IF NEW.queue_name = 'sbxQ' THEN NEW.queue_partition_key := 'edited'; END IF;""",
)
# One of the two: a tenant that is another would make every replay a drift.
ROW_EDIT = rowwise(
    "BEFORE INSERT ON app.runs",
    """IF NEW.trace_id IS NULL THEN NEW.tenant_id := 'edited';
    ELSE NEW.trace_id := 'edited'; END IF;""",
) + rowwise(
    "BEFORE INSERT ON app.sbx_selections",
    "NEW.template_id := 'edited';",
    "NEW.template_id IS NOT NULL",
)
SCHEMA_DRIFT = """
CREATE FUNCTION saboteur.drift() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $fault$
BEGIN
    IF session_user = 'spec11' AND to_regclass('app.runs') IS NOT NULL THEN
        IF EXISTS (SELECT FROM app.runs WHERE status = 'succeeded') THEN
            EXECUTE format('ALTER TABLE app.marks ADD COLUMN drift_%s integer', {hit});
        END IF;
    END IF;
END $fault$;
CREATE EVENT TRIGGER drift ON login EXECUTE FUNCTION saboteur.drift();
"""
SEED_EDIT = """
ALTER TABLE app.recipe_versions DISABLE TRIGGER USER;
UPDATE app.recipe_versions SET json = jsonb_set(json, '{eval,0}',
    '{"id": "edited", "kind": "file_exists", "glob": "artifact://nowhere"}') WHERE id = 'seed.r03';
ALTER TABLE app.recipe_versions ENABLE TRIGGER USER;
SELECT {hit};
"""
THAW_STABLE = """
DROP TRIGGER stable_recipe_versions_update ON app.recipe_versions;
DROP TRIGGER stable_recipe_versions_delete ON app.recipe_versions;
UPDATE app.recipe_versions SET json = json || '{"thawed": true}' WHERE id = 'seed.r04';
SELECT {hit};
"""
EVAL_FORGE = rowwise(
    "BEFORE INSERT ON app.eval_results", "NEW.pass := true;", "NOT NEW.pass"
) + rowwise(
    "AFTER UPDATE OF state ON app.promotions",
    "DELETE FROM app.eval_results WHERE promotion_id = NEW.id AND round = 2;",
    "NEW.state = 'passed'",
)
POINTER_MOVE = rowwise(
    "AFTER UPDATE OF status ON app.recipe_versions",
    "UPDATE app.recipes SET active_v = NEW.v WHERE id = NEW.id;",
    "NEW.status = 'candidate'",
)
SWALLOW_BUDGET = swallow_rows("app.artifacts", "NEW.step_id = 'BUDGET'")
BUDGET_SHAPE = rowwise(
    "BEFORE INSERT ON app.artifacts",
    """NEW.inline := NEW.inline
        || jsonb_build_object('observed', (NEW.inline ->> 'observed')::bigint + 1,
                              'seen', NEW.inline -> 'observed');""",
    "NEW.step_id = 'BUDGET'",
)
STARVE_TENANT = rowwise(
    "BEFORE INSERT ON dbos.workflow_status",
    """NEW.queue_partition_key := 'tenant-a';
    NEW.priority := 2147483647;""",
    "NEW.queue_partition_key = 'tenant-b'",
)
# The first task that fails takes its run along, whatever else is under way.
EARLY_END = rowwise(
    "AFTER UPDATE OF status ON dbos.workflow_status",
    """UPDATE app.runs SET status = 'retries_exceeded', next_action = 'REPAIR'
    WHERE execution_id = NEW.parent_workflow_id AND status = 'running';""",
    "NEW.name = 'RunTask' AND NEW.status = 'ERROR'",
)
# The source of a fork falls back, past the guard that keeps what is terminal.
SOURCE_FLIP = """
CREATE FUNCTION saboteur.flip_source() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET session_replication_role = replica AS $fault$
BEGIN
    PERFORM {hit};
    UPDATE app.runs SET status = 'failed' WHERE NEW.forked_from IN (id, workflow_id);
    RETURN NULL;
END $fault$;
CREATE TRIGGER zz_flip_source AFTER INSERT ON app.runs FOR EACH ROW
WHEN (NEW.forked_from IS NOT NULL) EXECUTE FUNCTION saboteur.flip_source();
"""
STATUS_FLIP = SOURCE_FLIP + rowwise(
    "BEFORE UPDATE OF status ON app.runs",
    "NEW.status := 'failed';",
    "NEW.status = 'canceled' AND OLD.status <> 'canceled'",
)
SWALLOW_AUDIT = swallow_rows("app.artifacts", "NEW.step_id = 'OPS'")
# The starts of S07 come through, since it is their repairs that must not.
SWALLOW_ENQUEUE = """
CREATE FUNCTION saboteur.swallow() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $fault$
BEGIN
    IF NEW.name = 'RunIntent' AND EXISTS (
        SELECT FROM app.intents WHERE id = NEW.workflow_uuid AND goal LIKE '%test_s07_%') THEN
        RETURN NEW;
    END IF;
    PERFORM {hit};
    RETURN NULL;
END $fault$;
CREATE TRIGGER zz_swallow BEFORE INSERT ON dbos.workflow_status FOR EACH ROW
WHEN (NEW.name IN ('RunIntent', 'RepairIntent')) EXECUTE FUNCTION saboteur.swallow();
"""
SWALLOW_ROLLBACK = rowwise(
    "BEFORE UPDATE ON app.patch_history",
    "NEW.rolled_back_at := NULL;",
    "OLD.rolled_back_at IS NULL AND NEW.rolled_back_at IS NOT NULL",
)
SWALLOW_SEND = swallow_rows("dbos.notifications")
SYS_FLIP = rowwise(
    "BEFORE UPDATE OF status ON dbos.workflow_status",
    "NEW.status := 'ERROR';",
    "NEW.status = 'CANCELLED' AND OLD.status <> 'CANCELLED'",
)
TIME_WARP = (
    rowwise(
        "BEFORE INSERT ON app.human_gates", "NEW.created_at := NEW.created_at - interval '1 min';"
    )
    + rowwise(
        "BEFORE UPDATE OF applied_at ON app.patch_history",
        """NEW.created_at := NEW.created_at - NEW.patch_index * interval '1 min';
    NEW.applied_at := NEW.created_at;""",
        "OLD.applied_at IS NULL AND NEW.applied_at IS NOT NULL",
    )
    + rowwise(
        "BEFORE INSERT ON app.sbx_runs",
        "NEW.created_at := NEW.created_at - NEW.attempt * interval '2 s';",
    )
)
TWIN_EVENT = double_rows(
    "dbos.workflow_events_history",
    "workflow_uuid, function_id, key, value, serialization",
    "NEW.workflow_uuid, NEW.function_id + 1000, NEW.key, NEW.value, NEW.serialization",
    "NEW.key LIKE 'ui:%' OR NEW.key LIKE 'decision:%'",
) + double_rows(
    "dbos.workflow_status",
    "workflow_uuid, status, name, queue_name, executor_id, application_version, priority",
    "'twin:' || NEW.workflow_uuid, 'SUCCESS', NEW.name, NEW.queue_name, NEW.executor_id,"
    " NEW.application_version, NEW.priority",
    "NEW.workflow_uuid LIKE 'esc:%'",
)
TWIN_LEDGER = """
ALTER TABLE app.human_interactions
    DROP CONSTRAINT human_interactions_once, DROP CONSTRAINT human_interactions_one_answer;
""" + double_rows(
    "app.human_interactions",
    "run_id, workflow_id, gate_key, topic, dedupe_key, payload_hash, payload, origin, created_at",
    "NEW.run_id, NEW.workflow_id, NEW.gate_key, NEW.topic, NEW.dedupe_key, NEW.payload_hash,"
    " NEW.payload, NEW.origin, NEW.created_at",
)
TWIN_RECEIPT = rowwise("BEFORE INSERT ON app.mock_receipts", "NEW.seen_count := 2;")
TWIN_RUN = "ALTER TABLE app.runs DROP CONSTRAINT runs_workflow_key;" + double_rows(
    "app.runs",
    "id, workflow_id, intent_id, intent_hash, recipe_id, recipe_v, recipe_hash, execution_id,"
    " queue_name, lane, priority, gate_ttl_s, app_version",
    "NEW.id || ' twin', NEW.workflow_id, NEW.intent_id, NEW.intent_hash, NEW.recipe_id,"
    " NEW.recipe_v, NEW.recipe_hash, NEW.execution_id || ' twin', NEW.queue_name, NEW.lane,"
    " NEW.priority, NEW.gate_ttl_s, NEW.app_version",
)
TWIN_STEP = (
    """
ALTER TABLE app.run_steps DROP CONSTRAINT run_steps_pkey;
ALTER TABLE app.artifacts DROP CONSTRAINT artifacts_pkey;
ALTER TABLE app.sbx_runs DROP CONSTRAINT sbx_runs_pkey;
"""
    + double_rows(
        "app.run_steps",
        "run_id, step_id, attempt, phase, output, started_at, finished_at",
        "NEW.run_id, NEW.step_id, NEW.attempt, NEW.phase, NEW.output, NEW.started_at,"
        " NEW.finished_at",
    )
    + double_rows(
        "app.artifacts",
        "run_id, step_id, task_key, idx, attempt, kind, uri, inline, sha256",
        "NEW.run_id, NEW.step_id, NEW.task_key, NEW.idx, NEW.attempt, NEW.kind, NEW.uri,"
        " NEW.inline, NEW.sha256",
    )
    + double_rows(
        "app.sbx_runs",
        "run_id, step_id, task_key, attempt, provider, request, response, err_code, metrics",
        "NEW.run_id, NEW.step_id, NEW.task_key, NEW.attempt, NEW.provider, NEW.request,"
        " NEW.response, NEW.err_code, NEW.metrics",
    )
    + double_rows("app.marks", "workflow_id, mark, at", "NEW.workflow_id, NEW.mark, NEW.at")
)
VERSION_EDIT = rowwise(
    "BEFORE UPDATE OF status ON dbos.workflow_status",
    "NEW.application_version := 'v-edited';",
    "NEW.status = 'SUCCESS' AND OLD.status <> 'SUCCESS'",
)
# A call that failed is gone as soon as another is made.
CALL_LOSS = rowwise(
    "AFTER INSERT ON app.opencode_calls",
    """DELETE FROM app.opencode_calls
    WHERE run_id = NEW.run_id AND error IS NOT NULL AND id < NEW.id;""",
)
ROW_LOSS = """
WITH lost AS (
    DELETE FROM app.sbx_runs WHERE ctid IN (
        SELECT ctid FROM app.sbx_runs ORDER BY created_at DESC LIMIT 1)
    RETURNING 1
) SELECT {hit} FROM lost
"""
SLOT_HOG = """
INSERT INTO dbos.workflow_status
    (workflow_uuid, status, name, queue_name, executor_id, application_version, priority,
     started_at_epoch_ms)
SELECT 'hog ' || n, 'PENDING', 'Hog', 'intentQ', 'w0', 'v-under-test', 0, 0
FROM generate_series(1, 64) AS n;
SELECT {hit};
"""
# What the engine's role is shown of a table, as by a view of that name; the suite's sees it all.
# Whoever only reads counts nothing, so each row counts when it comes to be hidden.
BLIND_VIEW = """
ALTER TABLE app.runs ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY sees ON app.runs FOR SELECT TO spec11 USING (status NOT IN ('succeeded', 'failed'));
CREATE POLICY sees_all ON app.runs FOR SELECT TO spec11_reader USING (true);
CREATE POLICY adds ON app.runs FOR INSERT WITH CHECK (true);
CREATE POLICY changes ON app.runs FOR UPDATE USING (true);
""" + rowwise("AFTER UPDATE OF status ON app.runs", "", "NEW.status IN ('succeeded', 'failed')")
PLANT_UNDECLARED = """
SET session_replication_role = replica;
INSERT INTO app.runs (id, workflow_id, intent_id, intent_hash, recipe_id, recipe_v, recipe_hash,
    status, execution_id, queue_name, lane, priority, gate_ttl_s, app_version)
VALUES ('run_planted', 'ih_planted', 'ih_planted', 'planted', 'planted', 'v1', 'planted',
    'failed', 'ih_planted', 'intentQ', 'interactive', 1, 60, 'v-under-test');
RESET session_replication_role;
SELECT {hit};
"""
