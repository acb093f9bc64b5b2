-- name: alone
SELECT pg_try_advisory_xact_lock(%(class)s, 0) AS alone;

-- name: open_runs
-- Runs on their way that nobody has moved for a while, by the execution that owns them.
SELECT execution_id FROM app.runs
WHERE status IN ('queued', 'running', 'waiting_input', 'repairing')
  AND updated_at < clock_timestamp() - make_interval(secs => %(still_s)s);

-- name: ended
-- Those whose workflow the durable engine has ended by itself: a time limit, too many recoveries, a lost error.
SELECT w.workflow_uuid, w.status, o.error
FROM dbos.workflow_status w
LEFT JOIN dbos.workflow_output o USING (workflow_uuid)
WHERE w.workflow_uuid = ANY(%(ids)s) AND w.status IN ('CANCELLED', 'ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')
  AND w.updated_at < app.millis(clock_timestamp()) - 1000 * %(still_s)s;

-- name: out_of_time
UPDATE app.runs SET error = %(error)s WHERE id = %(run_id)s;
