-- name: open_gates
-- Gates that take an answer now, and those whose deadline passed a moment ago: nobody closed them yet. The partial
-- index over open gates gives the order, and each run is looked up by itself: no more of them than the page has rows.
SELECT r.workflow_id, g.gate_key, g.topic, g.deadline_at, g.created_at,
       extract(epoch FROM g.deadline_at - clock_timestamp())::float AS left_s,
       'esc:' || g.workflow_id || ':' || g.gate_key AS escalation_id
FROM app.human_gates g
CROSS JOIN LATERAL (SELECT workflow_id FROM app.runs WHERE id = g.run_id AND status = 'waiting_input' LIMIT 1) r
WHERE g.state = 'PENDING'
ORDER BY g.deadline_at, g.created_at, r.workflow_id, g.gate_key
LIMIT %(limit)s;

-- name: workflows
SELECT workflow_uuid FROM dbos.workflow_status WHERE workflow_uuid = ANY(%(ids)s);
