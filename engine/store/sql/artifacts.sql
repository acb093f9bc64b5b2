-- name: by_uri
SELECT kind, uri, inline, sha256 FROM app.artifacts WHERE uri = %(uri)s ORDER BY attempt DESC LIMIT 1;

-- name: steps
-- The newest attempt of each step.
SELECT DISTINCT ON (step_id) step_id, attempt, phase, output, trace_id, span_id, started_at, finished_at
FROM app.run_steps
WHERE run_id = %(run_id)s
ORDER BY step_id, attempt DESC;

-- name: of_run
SELECT step_id, attempt, kind, uri, inline, sha256, created_at
FROM app.artifacts
WHERE run_id = %(run_id)s
ORDER BY step_id, task_key, idx, attempt;
