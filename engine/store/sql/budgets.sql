-- name: spent
-- What the execution that owns a run has cost since it began, which for a repair is its acceptance: by the attempts of its
-- tasks, and by the words that its status had. It pays for moving, not for waiting.
WITH began AS (
    SELECT coalesce(max(id), 0) AS id, coalesce(max(at), '-infinity') AS at
    FROM app.status_history
    WHERE run_id = %(run_id)s AND status = 'repairing'
), words AS (
    SELECT h.status, lead(h.at, 1, clock_timestamp()) OVER (ORDER BY h.id) - h.at AS lasted
    FROM app.status_history h, began
    WHERE h.run_id = %(run_id)s AND h.id >= began.id
), tasks AS (
    SELECT coalesce(sum((s.metrics ->> 'billedMinutes')::bigint), 0)::bigint AS minutes,
           coalesce(sum((s.metrics ->> 'outputBytes')::bigint), 0)::bigint AS output_bytes
    FROM app.sbx_runs s, began
    WHERE s.run_id = %(run_id)s AND s.created_at >= began.at
)
SELECT minutes, output_bytes,
       (SELECT coalesce(floor(extract(epoch FROM sum(lasted)) * 1000), 0)::bigint
        FROM words WHERE status IN ('running', 'repairing')) AS active_ms
FROM tasks;

-- name: limits
SELECT budget FROM app.runs WHERE id = %(run_id)s;

-- name: hold
-- Attempts of one run are kept one after the other: each knows what the others left of the budget.
SELECT FROM app.runs WHERE id = %(run_id)s FOR NO KEY UPDATE;

-- name: block
-- The violation, once an attempt of the run, while the execution still owns it: what ends the run is one transaction with it.
INSERT INTO app.artifacts (run_id, step_id, task_key, idx, attempt, kind, uri, inline, sha256)
SELECT id, 'BUDGET', %(task_key)s, %(idx)s, retry_count + 1, %(kind)s, %(uri)s, %(inline)s::jsonb, %(sha256)s
FROM app.runs
WHERE execution_id = %(execution_id)s AND status NOT IN ('succeeded', 'failed', 'retries_exceeded', 'canceled')
FOR UPDATE;

-- name: stop_tasks
-- Tasks that have not begun never do, and nobody waits for those that have.
UPDATE dbos.workflow_status
SET status = 'CANCELLED', owner_xid = null, queue_name = null, deduplication_id = null, started_at_epoch_ms = null,
    updated_at = app.millis(clock_timestamp()), completed_at = app.millis(clock_timestamp())
WHERE parent_workflow_id = %(execution_id)s AND status IN ('ENQUEUED', 'DELAYED', 'PENDING');
