-- name: views
-- Prompt, answer and the accepted reply's origin and hash: app.human_gates leads, the ledger follows (B24).
SELECT r.workflow_id, g.run_id, g.gate_key, g.topic, g.state, g.prompt, g.result, g.decision, i.origin, i.payload_hash,
       g.created_at, g.deadline_at
FROM app.runs r
JOIN app.human_gates g ON g.run_id = r.id
LEFT JOIN app.human_interactions i ON i.run_id = g.run_id AND i.gate_key = g.gate_key
WHERE r.id = %(run_id)s AND (%(gate_key)s::text IS NULL OR g.gate_key = %(gate_key)s)
ORDER BY g.created_at, g.gate_key;

-- name: accept
-- The row lock on the gate lets one answer through; the two keys of the ledger hold what it lets through. The
-- ledger, the gate and the message are one statement, so one transaction (D6, D17).
WITH received AS (
    UPDATE app.human_gates g
    SET state = 'RECEIVED', closed_at = clock_timestamp(),
        result = jsonb_build_object('schemaVersion', 1, 'state', 'RECEIVED', 'payload', %(payload)s::jsonb,
                                    'payloadHash', %(payload_hash)s::text,
                                    'at', floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)
    FROM app.runs r
    WHERE g.run_id = %(run_id)s AND g.gate_key = %(gate_key)s AND g.state = 'PENDING'
      AND g.deadline_at > clock_timestamp() AND r.id = g.run_id AND r.status = 'waiting_input'
    RETURNING g.run_id, g.gate_key, g.topic, r.workflow_id, g.workflow_id AS execution_id
), kept AS (
    INSERT INTO app.human_interactions (run_id, workflow_id, gate_key, topic, dedupe_key, payload_hash, payload, origin)
    SELECT run_id, workflow_id, gate_key, topic, %(dedupe_key)s, %(payload_hash)s, %(payload)s::jsonb, %(origin)s
    FROM received
    RETURNING id
)
SELECT dbos.send_message(execution_id, %(payload)s::json, topic, kept.id::text)::text AS sent
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
