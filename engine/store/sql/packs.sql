-- name: begin
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- name: utc
SET LOCAL TIME ZONE 'UTC';

-- name: app
-- Every row of schema app that belongs to a run or to a fork of it, and the ids under which the durable engine may
-- know what was done for them. Rows are as they are stored: what is in them is not judged here. The ids go into arrays:
-- of a list the planner knows that it is short, of a recursion it does not.
WITH RECURSIVE family (id) AS (
    SELECT id FROM app.runs WHERE workflow_id = %(wid)s OR id = %(wid)s
    UNION
    SELECT r.id FROM app.runs r JOIN family f ON r.forked_from = f.id
), runs AS (
    SELECT * FROM app.runs WHERE id = ANY(ARRAY(SELECT id FROM family))
), gates AS (
    SELECT * FROM app.human_gates WHERE run_id = ANY(ARRAY(SELECT id FROM family))
), artifacts AS (
    SELECT * FROM app.artifacts WHERE run_id = ANY(ARRAY(SELECT id FROM family))
), tasks AS (
    SELECT * FROM app.sbx_runs WHERE run_id = ANY(ARRAY(SELECT id FROM family))
), patches AS (
    SELECT * FROM app.patch_history WHERE run_id = ANY(ARRAY(SELECT id FROM family))
), receipts AS (
    SELECT * FROM app.mock_receipts WHERE run_id = ANY(ARRAY(SELECT id FROM family))
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
    'intent', (SELECT to_json(t) FROM app.intents t WHERE id = ANY(ARRAY(SELECT intent_id FROM runs))),
    'recipeVersion', (SELECT to_json(t) FROM recipe t),
    'recipeFixtures', (SELECT json_agg(t ORDER BY fixture_id) FROM app.recipe_fixtures t
                       JOIN recipe r ON r.id = t.recipe_id AND r.v = t.v),
    'statusHistory', (SELECT json_agg(t ORDER BY id) FROM app.status_history t WHERE run_id = ANY(ARRAY(SELECT id FROM family))),
    'runSteps', (SELECT json_agg(t ORDER BY run_id, step_id, attempt)
                 FROM app.run_steps t WHERE run_id = ANY(ARRAY(SELECT id FROM family))),
    'artifacts', (SELECT json_agg(t ORDER BY run_id, step_id, task_key, idx, attempt)
                  FROM artifacts t WHERE step_id <> 'OPS'),
    'sbxRuns', (SELECT json_agg(t ORDER BY run_id, step_id, task_key, attempt) FROM tasks t),
    'sbxSelections', (SELECT json_agg(t ORDER BY run_id, task_key, attempt)
                      FROM app.sbx_selections t WHERE run_id = ANY(ARRAY(SELECT id FROM family))),
    'opencodeCalls', (SELECT json_agg(t ORDER BY id)
                      FROM app.opencode_calls t WHERE run_id = ANY(ARRAY(SELECT id FROM family))),
    'mockReceipts', (SELECT json_agg(t ORDER BY created_at, receipt_key) FROM receipts t),
    'humanGates', (SELECT json_agg(t ORDER BY run_id, created_at, gate_key) FROM gates t),
    'humanInteractions', (SELECT json_agg(t ORDER BY run_id, gate_key, topic, dedupe_key)
                          FROM app.human_interactions t WHERE run_id = ANY(ARRAY(SELECT id FROM family))),
    'patchHistory', (SELECT json_agg(t ORDER BY run_id, step_id, attempt, patch_index) FROM patches t),
    'known', (SELECT json_agg(id ORDER BY id) FROM known WHERE id IS NOT NULL)
) AS rows
WHERE EXISTS (SELECT FROM family);

-- name: engine
-- The same for schema dbos: the workflows among those ids, and whatever was begun or forked by one of them.
WITH RECURSIVE scope (id) AS (
    SELECT workflow_uuid FROM dbos.workflow_status WHERE workflow_uuid = ANY(%(known)s)
    UNION
    SELECT w.id FROM scope s CROSS JOIN LATERAL (
        SELECT workflow_uuid AS id FROM dbos.workflow_status WHERE parent_workflow_id = s.id
        UNION ALL
        SELECT workflow_uuid FROM dbos.workflow_status WHERE forked_from = s.id
    ) w
)
SELECT json_build_object(
    'workflowScope', (SELECT json_agg(id ORDER BY id COLLATE "C") FROM scope),
    'statuses', (SELECT json_agg(t ORDER BY created_at, workflow_uuid)
                 FROM dbos.workflow_status t WHERE workflow_uuid = ANY(ARRAY(SELECT id FROM scope))),
    'events', (SELECT json_agg(t ORDER BY workflow_uuid, key)
               FROM dbos.workflow_events t WHERE workflow_uuid = ANY(ARRAY(SELECT id FROM scope))),
    'eventHistory', (SELECT json_agg(t ORDER BY workflow_uuid, function_id, key)
                     FROM dbos.workflow_events_history t WHERE workflow_uuid = ANY(ARRAY(SELECT id FROM scope))),
    'operations', (SELECT json_agg(t ORDER BY workflow_uuid, function_id)
                   FROM dbos.operation_outputs t WHERE workflow_uuid = ANY(ARRAY(SELECT id FROM scope))),
    'inputs', (SELECT json_agg(t ORDER BY workflow_uuid)
               FROM dbos.workflow_input t WHERE workflow_uuid = ANY(ARRAY(SELECT id FROM scope))),
    'outputs', (SELECT json_agg(t ORDER BY workflow_uuid)
                FROM dbos.workflow_output t WHERE workflow_uuid = ANY(ARRAY(SELECT id FROM scope))),
    'notifications', (SELECT json_agg(t ORDER BY created_at_epoch_ms, message_uuid)
                      FROM dbos.notifications t WHERE destination_uuid = ANY(ARRAY(SELECT id FROM scope))),
    'streams', (SELECT json_agg(t ORDER BY workflow_uuid, key, "offset")
                FROM dbos.streams t WHERE workflow_uuid = ANY(ARRAY(SELECT id FROM scope)))
) AS rows;

-- name: audits
-- Every accepted operation on any of these; one on what is no run bears the workflow's own id.
SELECT coalesce(json_agg(t ORDER BY created_at, task_key), '[]') AS rows
FROM app.artifacts t
WHERE step_id = 'OPS' AND run_id = ANY(%(ids)s);
