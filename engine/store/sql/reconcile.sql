-- name: alone
SELECT pg_try_advisory_xact_lock(%(class)s, 0) AS alone;

-- name: endings
-- Workflows that ended by themselves a while ago, the longest ago first.
SELECT id FROM app.lone_endings
WHERE at < statement_timestamp() - make_interval(secs => %(still_s)s)
ORDER BY at
LIMIT %(limit)s;

-- name: open_runs
-- Of these, whose run is still on its way, and whether nobody has moved it for a while.
SELECT execution_id, updated_at < clock_timestamp() - make_interval(secs => %(still_s)s) AS is_still
FROM app.runs
WHERE execution_id = ANY(%(ids)s) AND status IN ('queued', 'running', 'waiting_input', 'repairing');

-- name: ended
-- Those whose workflow the durable engine has ended by itself: a time limit, too many recoveries, a lost error.
SELECT w.workflow_uuid, w.status, o.error
FROM dbos.workflow_status w
LEFT JOIN dbos.workflow_output o USING (workflow_uuid)
WHERE w.workflow_uuid = ANY(%(ids)s) AND w.status IN ('CANCELLED', 'ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED');

-- name: forget
-- What ended once more meanwhile stays.
DELETE FROM app.lone_endings
WHERE id = ANY(%(ids)s) AND at < statement_timestamp() - make_interval(secs => %(still_s)s);

-- name: out_of_time
UPDATE app.runs SET error = %(error)s WHERE id = %(run_id)s;
