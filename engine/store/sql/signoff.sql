-- name: now
SELECT app.millis(clock_timestamp()) AS now_ms;

-- name: budget
-- Whatever the row holds it counts; what it should hold is told.
SELECT r.workflow_id, app.millis(a.created_at) AS ts,
       concat_ws(', ', coalesce(a.inline ->> 'reason', 'unreadable'), a.inline ->> 'outcome') AS said
FROM app.artifacts a JOIN app.runs r ON r.id = a.run_id
WHERE a.step_id = 'BUDGET' AND a.created_at > statement_timestamp() - interval '24 hours'
ORDER BY a.created_at DESC;

-- name: doubled
-- A receipt that was seen again, and a gate with more than one accepted answer: keys forbid both.
SELECT r.workflow_id, app.millis(m.created_at) AS ts
FROM app.mock_receipts m JOIN app.runs r ON r.id = m.run_id
WHERE m.seen_count > 1 AND m.created_at > statement_timestamp() - interval '24 hours'
UNION ALL
SELECT i.workflow_id, app.millis(max(i.created_at)) AS ts
FROM app.human_interactions i
WHERE i.created_at > statement_timestamp() - interval '24 hours'
GROUP BY i.workflow_id, i.gate_key HAVING count(*) > 1
ORDER BY 2 DESC;

-- name: failures
SELECT workflow_id, app.millis(updated_at) AS ts
FROM app.runs
WHERE app.ended_at(status, updated_at) > statement_timestamp() - interval '24 hours'
  AND status IN ('failed', 'retries_exceeded')
ORDER BY updated_at DESC;

-- name: ended_lately
-- Runs that ended within the window: what stands in the other schema is asked by their ids.
SELECT execution_id, workflow_id, status, app.millis(updated_at) AS ts
FROM app.runs
WHERE app.ended_at(status, updated_at) > statement_timestamp() - interval '24 hours';

-- name: live_runs
SELECT execution_id FROM app.runs WHERE status IN ('queued', 'running', 'waiting_input', 'repairing');

-- name: live_executions
SELECT workflow_uuid FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'DELAYED', 'PENDING');

-- name: standings
SELECT execution_id, workflow_id, status, app.millis(updated_at) AS ts FROM app.runs WHERE execution_id = ANY(%(ids)s);

-- name: executions
SELECT workflow_uuid, status, updated_at AS ts FROM dbos.workflow_status WHERE workflow_uuid = ANY(%(ids)s);
