-- name: moment
-- The database's clock says what is old: the ends of runs and of workflows are its times, too.
SELECT clock_timestamp() - make_interval(secs => %(age_s)s);

-- name: ended_runs
-- Runs that ended before the moment, read once through a cursor: each row is looked at again, under its lock.
SELECT id FROM app.runs WHERE app.ended_at(status, updated_at) < %(before)s;

-- name: ended_workflows
-- Workflows that nobody began but a client or a schedule, and that ended before the moment.
SELECT workflow_uuid FROM dbos.workflow_status
WHERE completed_at < app.millis(%(before)s) AND parent_workflow_id IS NULL
  AND status NOT IN ('ENQUEUED', 'DELAYED', 'PENDING');

-- name: hold_runs
-- Those that are still as old as that, locked. Who moves one right now holds its lock, so it is left out, not waited for.
SELECT id FROM app.runs
WHERE id = ANY(%(run_ids)s) AND app.ended_at(status, updated_at) < %(before)s
ORDER BY id
FOR UPDATE SKIP LOCKED;

-- name: runs
-- What decides about them, and the ids under which the durable engine may know what was done for them. A statement after
-- the lock: it sees what was committed before.
SELECT r.id, r.forked_from AS source,
       ARRAY(SELECT f.id FROM app.runs f WHERE f.forked_from = r.id) AS forks,
       EXISTS (SELECT FROM app.patch_history p
               WHERE p.run_id = r.id AND p.rolled_back_for IS NOT NULL AND p.rolled_back_at IS NULL) AS is_restoring,
       ARRAY(SELECT r.workflow_id
             UNION SELECT r.execution_id
             UNION SELECT 'rep:' || r.workflow_id || ':' || n FROM generate_series(1, r.retry_count) AS n
             UNION SELECT workflow_id FROM app.human_gates WHERE run_id = r.id
             UNION SELECT 'esc:' || workflow_id || ':' || gate_key FROM app.human_gates WHERE run_id = r.id
             UNION SELECT task_key FROM app.sbx_runs WHERE run_id = r.id
             UNION SELECT execution_id FROM app.patch_history WHERE run_id = r.id
             UNION SELECT execution_id FROM app.mock_receipts WHERE run_id = r.id
             UNION SELECT 'comp:' || (inline ->> 'targetWorkflowID') || ':' || substr(task_key, length('op-intent:cancel:') + 1)
                   FROM app.artifacts WHERE run_id = r.id AND step_id = 'OPS' AND inline ->> 'op' = 'cancel') AS known
FROM app.runs r
WHERE r.id = ANY(%(run_ids)s);

-- name: family
-- The workflows of those ids, and whatever was begun or forked by one of them, by whose they are.
WITH RECURSIVE family (owner, id) AS (
    SELECT k.owner, w.workflow_uuid
    FROM unnest(%(owners)s::text[], %(workflow_ids)s::text[]) AS k (owner, id)
    CROSS JOIN LATERAL (SELECT workflow_uuid FROM dbos.workflow_status WHERE workflow_uuid = k.id) AS w
    UNION
    SELECT f.owner, w.id
    FROM family f
    CROSS JOIN LATERAL (
        SELECT workflow_uuid FROM dbos.workflow_status WHERE parent_workflow_id = f.id
        UNION ALL
        SELECT workflow_uuid FROM dbos.workflow_status WHERE forked_from = f.id
    ) AS w (id)
)
SELECT f.owner, f.id,
       w.status IN ('ENQUEUED', 'DELAYED', 'PENDING') OR coalesce(w.completed_at, w.updated_at) >= app.millis(%(before)s)
       AS is_young
FROM family f
CROSS JOIN LATERAL (SELECT status, completed_at, updated_at FROM dbos.workflow_status WHERE workflow_uuid = f.id) AS w;

-- name: hold_workflows
SELECT workflow_uuid FROM dbos.workflow_status
WHERE workflow_uuid = ANY(%(workflow_ids)s)
ORDER BY workflow_uuid
FOR UPDATE SKIP LOCKED;

-- name: arguments
-- What the workflows were started with: it says which run they work for.
SELECT workflow_uuid AS id, inputs FROM dbos.workflow_input WHERE workflow_uuid = ANY(%(workflow_ids)s);

-- name: names_of_runs
-- Which of these words name a run, by whatever name.
SELECT id FROM app.runs WHERE id = ANY(%(words)s)
UNION SELECT workflow_id FROM app.runs WHERE workflow_id = ANY(%(words)s)
UNION SELECT execution_id FROM app.runs WHERE execution_id = ANY(%(words)s);

-- name: names_of_workflows
SELECT workflow_uuid FROM dbos.workflow_status WHERE workflow_uuid = ANY(%(words)s);

-- name: open_promotions
-- Whoever promotes the version next has to find how the workflow ended.
SELECT id FROM app.promotions WHERE id = ANY(%(workflow_ids)s) AND state = 'running';

-- name: remove_runs
-- Everything of the runs, and the runs. The audit of what was done to them stays: it tells who did it, and why.
WITH history AS (DELETE FROM app.status_history WHERE run_id = ANY(%(run_ids)s)),
     steps AS (DELETE FROM app.run_steps WHERE run_id = ANY(%(run_ids)s)),
     artifacts AS (DELETE FROM app.artifacts WHERE run_id = ANY(%(run_ids)s) AND step_id <> 'OPS'),
     tasks AS (DELETE FROM app.sbx_runs WHERE run_id = ANY(%(run_ids)s)),
     selections AS (DELETE FROM app.sbx_selections WHERE run_id = ANY(%(run_ids)s)),
     calls AS (DELETE FROM app.opencode_calls WHERE run_id = ANY(%(run_ids)s)),
     receipts AS (DELETE FROM app.mock_receipts WHERE run_id = ANY(%(run_ids)s)),
     interactions AS (DELETE FROM app.human_interactions WHERE run_id = ANY(%(run_ids)s)),
     gates AS (DELETE FROM app.human_gates WHERE run_id = ANY(%(run_ids)s)),
     patches AS (DELETE FROM app.patch_history WHERE run_id = ANY(%(run_ids)s))
DELETE FROM app.runs WHERE id = ANY(%(run_ids)s)
RETURNING intent_id;

-- name: remove_intents
-- A start of the same form is then a new run, of whichever recipe (D2, D3). What another run still has stays.
DELETE FROM app.intents i
WHERE id = ANY(%(intent_ids)s) AND NOT EXISTS (SELECT FROM app.runs r WHERE r.intent_id = i.id);

-- name: remove_traces
-- What schema app holds of workflows by their own ids.
WITH marks AS (DELETE FROM app.marks WHERE workflow_id = ANY(%(workflow_ids)s)),
     checkpoints AS (DELETE FROM app.mark_checkpoints WHERE workflow_id = ANY(%(workflow_ids)s)),
     outputs AS (DELETE FROM app.datasource_outputs WHERE workflow_id = ANY(%(workflow_ids)s))
DELETE FROM app.lone_endings WHERE id = ANY(%(workflow_ids)s);

-- name: remove_workflows
WITH operations AS (DELETE FROM dbos.operation_outputs WHERE workflow_uuid = ANY(%(workflow_ids)s)),
     inputs AS (DELETE FROM dbos.workflow_input WHERE workflow_uuid = ANY(%(workflow_ids)s)),
     outputs AS (DELETE FROM dbos.workflow_output WHERE workflow_uuid = ANY(%(workflow_ids)s)),
     events AS (DELETE FROM dbos.workflow_events WHERE workflow_uuid = ANY(%(workflow_ids)s)),
     history AS (DELETE FROM dbos.workflow_events_history WHERE workflow_uuid = ANY(%(workflow_ids)s)),
     messages AS (DELETE FROM dbos.notifications WHERE destination_uuid = ANY(%(workflow_ids)s)),
     streams AS (DELETE FROM dbos.streams WHERE workflow_uuid = ANY(%(workflow_ids)s)),
     prompts AS (DELETE FROM dbos.spec11_open_prompts WHERE id = ANY(%(workflow_ids)s))
DELETE FROM dbos.workflow_status WHERE workflow_uuid = ANY(%(workflow_ids)s);
