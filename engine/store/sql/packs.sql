-- name: begin
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- name: utc
SET LOCAL TIME ZONE 'UTC';

-- name: app
-- Every row of schema app that belongs to a run or to a fork of it, and the ids under which the durable engine may
-- know what was done for them. Rows are as they are stored: what is in them is not judged here.
WITH RECURSIVE family (id) AS (
    SELECT id FROM app.runs WHERE workflow_id = %(wid)s OR id = %(wid)s
    UNION
    SELECT r.id FROM app.runs r JOIN family f ON r.forked_from = f.id
), runs AS (
    SELECT r.* FROM app.runs r JOIN family USING (id)
), gates AS (
    SELECT g.* FROM app.human_gates g JOIN family f ON f.id = g.run_id
), artifacts AS (
    SELECT a.* FROM app.artifacts a JOIN family f ON f.id = a.run_id
), tasks AS (
    SELECT t.* FROM app.sbx_runs t JOIN family f ON f.id = t.run_id
), patches AS (
    SELECT p.* FROM app.patch_history p JOIN family f ON f.id = p.run_id
), receipts AS (
    SELECT m.* FROM app.mock_receipts m JOIN family f ON f.id = m.run_id
), recipe AS (
    SELECT v.* FROM app.recipe_versions v
    WHERE (v.id, v.v) IN (SELECT recipe_id, recipe_v FROM runs)
), known (id) AS (
    SELECT workflow_id FROM runs
    UNION SELECT execution_id FROM runs
    UNION SELECT 'rep:' || workflow_id || ':' || n FROM runs, generate_series(1, retry_count) AS n
    UNION SELECT workflow_id FROM gates
    UNION SELECT 'esc:' || workflow_id || ':' || gate_key FROM gates
    UNION SELECT task_key FROM tasks
    UNION SELECT execution_id FROM patches
    UNION SELECT execution_id FROM receipts
    UNION SELECT 'comp:' || (inline ->> 'targetWorkflowID') || ':' || substr(task_key, length('op-intent:cancel:') + 1)
          FROM artifacts WHERE step_id = 'OPS' AND inline ->> 'op' = 'cancel'
    UNION SELECT inline ->> 'forkedWorkflowID' FROM artifacts WHERE step_id = 'OPS'
)
SELECT json_build_object(
    'runs', (SELECT json_agg(t ORDER BY created_at, id) FROM runs t),
    'intent', (SELECT to_json(t) FROM app.intents t WHERE id IN (SELECT intent_id FROM runs)),
    'recipeVersion', (SELECT to_json(t) FROM recipe t),
    'recipeFixtures', (SELECT json_agg(t ORDER BY fixture_id) FROM app.recipe_fixtures t
                       JOIN recipe r ON r.id = t.recipe_id AND r.v = t.v),
    'statusHistory', (SELECT json_agg(t ORDER BY t.id) FROM app.status_history t JOIN family f ON f.id = t.run_id),
    'runSteps', (SELECT json_agg(t ORDER BY run_id, step_id, attempt)
                 FROM app.run_steps t JOIN family f ON f.id = t.run_id),
    'artifacts', (SELECT json_agg(t ORDER BY run_id, step_id, task_key, idx, attempt)
                  FROM artifacts t WHERE step_id <> 'OPS'),
    'sbxRuns', (SELECT json_agg(t ORDER BY run_id, step_id, task_key, attempt) FROM tasks t),
    'sbxSelections', (SELECT json_agg(t ORDER BY run_id, task_key, attempt)
                      FROM app.sbx_selections t JOIN family f ON f.id = t.run_id),
    'opencodeCalls', (SELECT json_agg(t ORDER BY t.id)
                      FROM app.opencode_calls t JOIN family f ON f.id = t.run_id),
    'mockReceipts', (SELECT json_agg(t ORDER BY created_at, receipt_key) FROM receipts t),
    'humanGates', (SELECT json_agg(t ORDER BY run_id, created_at, gate_key) FROM gates t),
    'humanInteractions', (SELECT json_agg(t ORDER BY run_id, gate_key, topic, dedupe_key)
                          FROM app.human_interactions t JOIN family f ON f.id = t.run_id),
    'patchHistory', (SELECT json_agg(t ORDER BY run_id, step_id, attempt, patch_index) FROM patches t),
    'known', (SELECT json_agg(id ORDER BY id) FROM known WHERE id IS NOT NULL)
) AS rows
WHERE EXISTS (SELECT FROM family);

-- name: engine
-- The same for schema dbos: the workflows among those ids, and whatever was begun or forked by one of them.
WITH RECURSIVE scope (id) AS (
    SELECT workflow_uuid FROM dbos.workflow_status WHERE workflow_uuid = ANY(%(known)s)
    UNION
    SELECT w.workflow_uuid FROM dbos.workflow_status w JOIN scope s ON w.parent_workflow_id = s.id OR w.forked_from = s.id
)
SELECT json_build_object(
    'workflowScope', (SELECT json_agg(id ORDER BY id COLLATE "C") FROM scope),
    'statuses', (SELECT json_agg(t ORDER BY created_at, workflow_uuid)
                 FROM dbos.workflow_status t JOIN scope s ON s.id = t.workflow_uuid),
    'events', (SELECT json_agg(t ORDER BY workflow_uuid, key)
               FROM dbos.workflow_events t JOIN scope s ON s.id = t.workflow_uuid),
    'eventHistory', (SELECT json_agg(t ORDER BY workflow_uuid, function_id, key)
                     FROM dbos.workflow_events_history t JOIN scope s ON s.id = t.workflow_uuid),
    'operations', (SELECT json_agg(t ORDER BY workflow_uuid, function_id)
                   FROM dbos.operation_outputs t JOIN scope s ON s.id = t.workflow_uuid),
    'inputs', (SELECT json_agg(t ORDER BY workflow_uuid)
               FROM dbos.workflow_input t JOIN scope s ON s.id = t.workflow_uuid),
    'outputs', (SELECT json_agg(t ORDER BY workflow_uuid)
                FROM dbos.workflow_output t JOIN scope s ON s.id = t.workflow_uuid),
    'notifications', (SELECT json_agg(t ORDER BY created_at_epoch_ms, message_uuid)
                      FROM dbos.notifications t JOIN scope s ON s.id = t.destination_uuid),
    'streams', (SELECT json_agg(t ORDER BY workflow_uuid, key, "offset")
                FROM dbos.streams t JOIN scope s ON s.id = t.workflow_uuid)
) AS rows;

-- name: audits
-- Every accepted operation on any of these; one on what is no run bears the workflow's own id.
SELECT coalesce(json_agg(t ORDER BY created_at, task_key), '[]') AS rows
FROM app.artifacts t
WHERE step_id = 'OPS' AND run_id = ANY(%(ids)s);
