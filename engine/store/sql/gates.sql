-- name: views
-- Prompt, answer and the accepted reply's origin and hash: app.human_gates leads, the ledger follows (B24).
SELECT r.workflow_id, g.run_id, g.gate_key, g.topic, g.listen_topic, g.state, g.prompt, g.result, g.decision, i.origin,
       i.payload_hash, g.created_at, g.deadline_at
FROM app.runs r
JOIN app.human_gates g ON g.run_id = r.id
LEFT JOIN app.human_interactions i ON i.run_id = g.run_id AND i.gate_key = g.gate_key
WHERE (r.workflow_id = %(wid)s OR r.id = %(wid)s) AND (%(gate_key)s::text IS NULL OR g.gate_key = %(gate_key)s)
ORDER BY g.created_at, g.gate_key;

-- name: accept
-- The row lock on the gate lets one answer through; the two keys of the ledger hold what it lets through. The
-- ledger, the gate and the message are one statement, so one transaction (D6, D17). The run is locked before its gate,
-- as everybody does who changes both: a cancellation at the same moment comes before or after, and nobody waits in a circle.
WITH run AS MATERIALIZED (
    SELECT id, workflow_id FROM app.runs WHERE id = %(run_id)s AND status = 'waiting_input' FOR SHARE
), received AS (
    UPDATE app.human_gates g
    SET state = 'RECEIVED', closed_at = clock_timestamp(),
        result = jsonb_build_object('schemaVersion', 1, 'state', 'RECEIVED', 'payload', %(payload)s::jsonb,
                                    'payloadHash', %(payload_hash)s::text,
                                    'at', app.millis(clock_timestamp()))
    FROM run r
    WHERE g.run_id = r.id AND g.gate_key = %(gate_key)s AND g.state = 'PENDING'
      AND g.deadline_at > clock_timestamp()
    RETURNING g.run_id, g.gate_key, g.listen_topic, r.workflow_id, g.workflow_id AS execution_id
), kept AS (
    INSERT INTO app.human_interactions (run_id, workflow_id, gate_key, topic, dedupe_key, payload_hash, payload, origin)
    SELECT run_id, workflow_id, gate_key, %(topic)s, %(dedupe_key)s, %(payload_hash)s, %(payload)s::jsonb, %(origin)s
    FROM received
    RETURNING id
)
SELECT dbos.send_message(execution_id, %(payload)s::json, listen_topic, kept.id::text)::text AS sent
FROM received, kept;

-- name: answer
SELECT workflow_id, gate_key, topic, dedupe_key, payload_hash, origin, created_at
FROM app.human_interactions
WHERE run_id = %(run_id)s AND gate_key = %(gate_key)s;

-- name: interactions
SELECT workflow_id, gate_key, topic, dedupe_key, payload_hash, origin, created_at
FROM app.human_interactions
WHERE run_id = %(run_id)s
ORDER BY created_at, dedupe_key
LIMIT %(limit)s;

-- name: open
-- The gates, the word that says the run waits, and the prompts that the durable engine shows: one statement, so no
-- reader ever finds one of them without the others (D19).
WITH moment AS (
    SELECT date_trunc('milliseconds', clock_timestamp()) AS at
), owner AS (
    SELECT id, execution_id, gate_ttl_s FROM app.runs
    WHERE execution_id = %(execution_id)s AND status IN ('queued', 'running', 'repairing')
    FOR UPDATE
), gate AS (
    INSERT INTO app.human_gates (run_id, gate_key, workflow_id, topic, listen_topic, step_id, purpose, prompt, created_at,
                                 deadline_at)
    SELECT r.id, g.gate_key, r.execution_id, 'human:' || g.gate_key, %(listen_topic)s, g.step_id, g.purpose,
           jsonb_build_object('schemaVersion', 1, 'formSchema', g.form, 'ttlS', r.gate_ttl_s,
                              'createdAt', app.millis(at), 'deadlineAt', app.millis(at) + 1000 * r.gate_ttl_s,
                              'uiHints', null, 'defaults', null),
           at, at + make_interval(secs => r.gate_ttl_s)
    FROM owner r, moment, jsonb_to_recordset(%(gates)s::jsonb) AS g (gate_key text, step_id text, purpose text, form jsonb)
    ON CONFLICT DO NOTHING
    RETURNING run_id, gate_key, workflow_id, prompt, deadline_at
), waiting AS (
    UPDATE app.runs r SET status = 'waiting_input', next_action = %(next_action)s, updated_at = clock_timestamp()
    WHERE r.id = (SELECT run_id FROM gate LIMIT 1)
), events AS (
    INSERT INTO dbos.workflow_events (workflow_uuid, key, value, serialization)
    SELECT workflow_id, 'ui:' || gate_key, prompt::text, 'portable_json' FROM gate
), history AS (
    INSERT INTO dbos.workflow_events_history (workflow_uuid, function_id, key, value, serialization)
    SELECT workflow_id, %(function_id)s, 'ui:' || gate_key, prompt::text, 'portable_json' FROM gate
)
SELECT extract(epoch FROM deadline_at - clock_timestamp())::float FROM gate;

-- name: standing
-- What became of an execution's gates, under their locks; seconds to each deadline by the database's clock.
SELECT gate_key, state, result, decision, prompt,
       extract(epoch FROM deadline_at - clock_timestamp())::float AS left_s
FROM app.human_gates
WHERE workflow_id = %(execution_id)s AND gate_key = ANY(%(gate_keys)s)
ORDER BY gate_key
FOR UPDATE;

-- name: close
-- A gate that has its answer, or never will: its row, and the events that tell of it.
WITH moment AS (
    SELECT app.millis(clock_timestamp()) AS ms
), gate AS (
    UPDATE app.human_gates
    SET state = %(state)s, decision = %(decision)s, closed_at = coalesce(closed_at, clock_timestamp()),
        result = coalesce(result, jsonb_build_object('schemaVersion', 1, 'state', %(state)s::text, 'at', ms))
    FROM moment
    WHERE workflow_id = %(execution_id)s AND gate_key = %(gate_key)s
    RETURNING result
), told (key, value) AS (
    SELECT 'ui:' || %(gate_key)s || ':result', result::text FROM gate
    UNION ALL
    SELECT 'ui:' || %(gate_key)s || ':audit',
           jsonb_build_object('schemaVersion', 1, 'event', result ->> 'state', 'actor', result #> '{payload,actor}',
                              'reason', coalesce(%(reason)s::text, result #>> '{payload,rationale}'), 'at', ms)::text
    FROM gate, moment
    UNION ALL
    SELECT 'decision:' || %(gate_key)s,
           jsonb_build_object('schemaVersion', 1, 'decision', %(decision)s::text, 'at', ms,
                              'payload', jsonb_build_object('rationale', %(reason)s::text))::text
    FROM gate, moment
    WHERE %(decision)s::text IS NOT NULL
), events AS (
    INSERT INTO dbos.workflow_events (workflow_uuid, key, value, serialization)
    SELECT %(execution_id)s, key, value, 'portable_json' FROM told
)
INSERT INTO dbos.workflow_events_history (workflow_uuid, function_id, key, value, serialization)
SELECT %(execution_id)s, %(function_id)s, key, value, 'portable_json' FROM told;

-- name: go_on
-- The run does not wait any more; it moves when every gate let it through.
UPDATE app.runs
SET status = CASE WHEN %(moves)s THEN 'running' ELSE status END, next_action = null, updated_at = clock_timestamp()
WHERE execution_id = %(execution_id)s AND status = 'waiting_input';

-- name: escalate
SELECT dbos.enqueue_workflow(
    workflow_name => %(workflow_name)s, queue_name => 'controlQ',
    named_args => json_build_object('run_id', run_id, 'gate_key', gate_key),
    workflow_id => 'esc:' || workflow_id || ':' || gate_key, application_name => 'spec11',
    app_version => (SELECT app_version FROM app.runs r WHERE r.id = run_id))
FROM app.human_gates
WHERE workflow_id = %(execution_id)s AND gate_key = %(gate_key)s;

-- name: overdue_at
SELECT deadline_at FROM app.human_gates WHERE run_id = %(run_id)s AND gate_key = %(gate_key)s;

-- name: keep_escalation
INSERT INTO app.artifacts (run_id, step_id, task_key, idx, attempt, kind, uri, inline, sha256)
VALUES (%(run_id)s, %(step_id)s, %(gate_key)s, %(idx)s, 1, %(kind)s, %(uri)s, %(inline)s::jsonb, %(sha256)s)
ON CONFLICT DO NOTHING;
