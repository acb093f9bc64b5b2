-- name: subject
-- The run that an execution owns, with its intent and the database's clock; one that was queued moves from now on.
WITH moved AS (
    UPDATE app.runs SET status = 'running', updated_at = clock_timestamp()
    WHERE execution_id = %(execution_id)s AND status = 'queued'
)
SELECT r.execution_id, r.id AS run_id, r.status, r.workflow_id, r.recipe_id, r.recipe_v, r.retry_count + 1 AS attempt, r.priority,
       r.queue_partition_key, r.budget, i.json AS intent, clock_timestamp() AS now,
       ARRAY(SELECT op_key FROM app.opencode_calls c
             WHERE c.run_id = r.id AND c.attempt = r.retry_count + 1 AND c.error IS NULL) AS answered
FROM app.runs r
JOIN app.intents i ON i.id = r.intent_id
WHERE r.execution_id = %(execution_id)s;

-- name: hold
-- The run of an execution, held until the transaction ends: a cancellation comes before or after, not between.
SELECT status FROM app.runs WHERE execution_id = %(execution_id)s FOR UPDATE;

-- name: output
SELECT output FROM app.run_steps WHERE run_id = %(run_id)s AND step_id = %(step_id)s AND attempt = %(attempt)s;

-- name: place
-- The newest attempt of a step, and whether this execution made it: its receipt says so.
SELECT (SELECT coalesce(max(attempt), 0) FROM app.run_steps WHERE run_id = %(run_id)s AND step_id = %(step_id)s),
       EXISTS (SELECT FROM app.mock_receipts
               WHERE run_id = %(run_id)s AND step_id = %(step_id)s AND execution_id = %(execution_id)s);

-- name: keep
-- One statement, so one transaction: the step's row, which is also its checkpoint, with everything that belongs to
-- it. Where the row is there already, nothing is written: an earlier try of the same step kept its own (D6, D16).
-- Only the execution that owns the run gets in, and only while the run is on its way (D15).
WITH owned AS (
    SELECT id, trace_id FROM app.runs
    WHERE execution_id = %(execution_id)s AND status IN ('running', 'repairing')
    FOR UPDATE
), kept AS (
    INSERT INTO app.run_steps (run_id, step_id, attempt, phase, output, trace_id, started_at, finished_at)
    SELECT id, %(step_id)s, %(attempt)s, %(phase)s, %(output)s::jsonb, trace_id, %(started_at)s,
           greatest(clock_timestamp(), %(started_at)s)
    FROM owned
    WHERE NOT EXISTS (SELECT FROM app.run_steps s
                      WHERE s.run_id = owned.id AND s.step_id = %(step_id)s AND s.attempt = %(attempt)s)
    ON CONFLICT DO NOTHING
    RETURNING run_id
), artifacts AS (
    INSERT INTO app.artifacts (run_id, step_id, task_key, idx, attempt, kind, uri, inline, sha256)
    SELECT kept.run_id, %(step_id)s, '', a.idx, %(attempt)s, a.kind, a.uri, a.inline, a.sha256
    FROM kept, jsonb_to_recordset(%(artifacts)s::jsonb) AS a (idx integer, kind text, uri text, inline jsonb, sha256 text)
), calls AS (
    INSERT INTO app.opencode_calls (op_key, run_id, step_id, attempt, agent, prompt, schema_hash, structured, tool_calls,
                                    served_by, session_id, server_version)
    SELECT c.op_key, kept.run_id, %(step_id)s, %(attempt)s, c.agent, c.prompt, c.schema_hash, c.structured, c.tool_calls,
           c.served_by, c.session_id, c.server_version
    FROM kept, jsonb_to_recordset(%(calls)s::jsonb)
        AS c (op_key text, agent text, prompt text, schema_hash text, structured jsonb, tool_calls jsonb, served_by text,
              session_id text, server_version text)
), receipts AS (
    INSERT INTO app.mock_receipts AS m (receipt_key, run_id, step_id, execution_id, payload_hash)
    SELECT p.receipt_key, kept.run_id, %(step_id)s, %(execution_id)s, p.payload_hash
    FROM kept, jsonb_to_recordset(%(receipts)s::jsonb) AS p (receipt_key text, payload_hash text)
    ON CONFLICT (receipt_key) DO UPDATE SET seen_count = m.seen_count + 1
), moved AS (
    UPDATE app.runs r
    SET last_step = %(step_id)s, updated_at = clock_timestamp(), status = coalesce(%(word)s, r.status),
        error = CASE WHEN %(word)s::text IS NULL THEN r.error END
    FROM kept
    WHERE r.id = kept.run_id
)
SELECT run_id FROM kept;

-- name: answer
SELECT structured, tool_calls, served_by, session_id, server_version FROM app.opencode_calls
WHERE op_key = %(op_key)s AND error IS NULL;

-- name: keep_failed
-- A failure stays on record whatever becomes of the run; no key is in its way, and nothing ever reads an answer of it.
INSERT INTO app.opencode_calls (op_key, run_id, step_id, attempt, agent, prompt, schema_hash, structured, tool_calls,
                                served_by, session_id, server_version, error)
VALUES (%(op_key)s, %(run_id)s, %(step_id)s, %(attempt)s, %(agent)s, %(prompt)s, %(schema_hash)s, %(structured)s::jsonb,
        %(tool_calls)s::jsonb, %(served_by)s, %(session_id)s, %(server_version)s, %(error)s);

-- name: tools
-- What the agents used for what each step put out last.
SELECT DISTINCT ON (step_id) agent, tool_calls FROM app.opencode_calls
WHERE run_id = %(run_id)s AND error IS NULL
ORDER BY step_id, attempt DESC, id DESC;

-- name: fail
-- Only the owning execution ends a run, and what has ended stays ended (D15).
UPDATE app.runs
SET status = 'retries_exceeded', next_action = 'REPAIR', error = %(error)s, updated_at = clock_timestamp()
WHERE execution_id = %(execution_id)s AND status NOT IN ('succeeded', 'failed', 'retries_exceeded', 'canceled');

-- name: newest_outputs
SELECT DISTINCT ON (step_id) step_id, output FROM app.run_steps
WHERE run_id = %(run_id)s
ORDER BY step_id, attempt DESC;

-- name: successes
-- What was cut off for the sake of a budget is not whole.
SELECT DISTINCT ON (request ->> 'cmd') request ->> 'cmd' AS cmd, response FROM app.sbx_runs
WHERE run_id = %(run_id)s AND err_code = 'NONE' AND coalesce((metrics ->> 'cutBytes')::bigint, 0) = 0
ORDER BY request ->> 'cmd', created_at DESC;

-- name: granted
-- Whether people let the run go on at the last gates of that step: all of them.
SELECT coalesce(bool_and(state = 'RESOLVED' AND decision IS DISTINCT FROM 'no'), false)
FROM app.human_gates
WHERE run_id = %(run_id)s AND step_id = %(step_id)s
  AND workflow_id = (SELECT workflow_id FROM app.human_gates
                     WHERE run_id = %(run_id)s AND step_id = %(step_id)s
                     ORDER BY created_at DESC LIMIT 1);
