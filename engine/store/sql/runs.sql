-- name: start
-- One statement, so one transaction: the intent, the run and the enqueue, or none of them (D6). A run that is there
-- already is read instead, with its engine's row beside it, and nothing is written. No row comes back when a key was
-- taken only now or the stored intent belongs to another recipe; the caller then compares, and asks again.
-- A run that names no partition queues in the one of blank name: the durable engine would never look for none.
WITH known AS MATERIALIZED (
    SELECT id, workflow_id, intent_hash, recipe_id, recipe_v, recipe_hash, trace_id, tenant_id, queue_name,
           queue_partition_key, lane, priority, timeout_ms, workload, budget, gate_ttl_s, app_version, created_at,
           updated_at, execution_id, status, last_step, next_action, error, retry_count
    FROM app.runs
    WHERE workflow_id = %(workflow_id)s
), kept AS (
    INSERT INTO app.intents (id, intent_hash, goal, json, recipe_id, recipe_v, recipe_hash)
    SELECT %(workflow_id)s, %(intent_hash)s, %(goal)s, %(intent)s, %(recipe_id)s, %(recipe_v)s, %(recipe_hash)s
    WHERE NOT EXISTS (SELECT FROM known)
    ON CONFLICT DO NOTHING
    RETURNING id
), started AS (
    INSERT INTO app.runs (id, workflow_id, intent_id, intent_hash, recipe_id, recipe_v, recipe_hash, execution_id,
                          trace_id, tenant_id, queue_name, queue_partition_key, lane, priority, timeout_ms, workload,
                          budget, gate_ttl_s, app_version, created_at, updated_at)
    SELECT %(id)s, %(workflow_id)s, %(workflow_id)s, %(intent_hash)s, %(recipe_id)s, %(recipe_v)s, %(recipe_hash)s,
           %(workflow_id)s, %(trace_id)s, %(tenant_id)s, %(queue_name)s, %(queue_partition_key)s, %(lane)s,
           %(priority)s, %(timeout_ms)s, %(workload)s::jsonb, %(budget)s::jsonb, %(gate_ttl_s)s, %(app_version)s,
           statement_timestamp(), statement_timestamp()
    WHERE EXISTS (SELECT FROM kept)
       OR EXISTS (SELECT FROM app.intents
                  WHERE id = %(workflow_id)s AND recipe_id = %(recipe_id)s AND recipe_v = %(recipe_v)s
                    AND recipe_hash = %(recipe_hash)s)
          AND NOT EXISTS (SELECT FROM known)
    ON CONFLICT DO NOTHING
    RETURNING created_at, updated_at, execution_id
)
SELECT true AS is_fresh, created_at, updated_at, execution_id,
       dbos.enqueue_workflow(workflow_name => %(workflow_name)s, queue_name => %(queue_name)s,
                             named_args => json_build_object('workflow_id', execution_id),
                             workflow_id => execution_id, app_version => %(app_version)s,
                             timeout_ms => %(timeout_ms)s, priority => %(priority)s,
                             queue_partition_key => coalesce(%(queue_partition_key)s, ''),
                             application_name => 'spec11') AS id,
       NULL AS known, NULL AS served_by, NULL AS engine
FROM started
UNION ALL
SELECT false, created_at, updated_at, execution_id, id, to_jsonb(known),
       (SELECT CASE WHEN bool_or(served_by = 'stub') THEN 'stub' WHEN bool_or(served_by <> 'live') THEN 'replay'
                    WHEN bool_or(served_by = 'live') THEN 'live' END
        FROM app.opencode_calls c WHERE c.run_id = known.id AND c.error IS NULL),
       (SELECT jsonb_build_object('status', w.status, 'application_version', w.application_version, 'output', o.output)
        FROM dbos.workflow_status w LEFT JOIN dbos.workflow_output o USING (workflow_uuid)
        WHERE w.workflow_uuid = %(workflow_id)s)
FROM known;

-- name: by_id
-- Either name of a run finds it: its workflow id or its own. One answer of a stub makes it the stub's run.
SELECT id, workflow_id, intent_hash, recipe_id, recipe_v, recipe_hash, trace_id, tenant_id, queue_name,
       queue_partition_key, lane, priority, timeout_ms, workload, budget, gate_ttl_s, app_version, created_at,
       updated_at, execution_id, status, last_step, next_action, error, retry_count,
       (SELECT CASE WHEN bool_or(served_by = 'stub') THEN 'stub' WHEN bool_or(served_by <> 'live') THEN 'replay'
                    WHEN bool_or(served_by = 'live') THEN 'live' END
        FROM app.opencode_calls c WHERE c.run_id = runs.id AND c.error IS NULL) AS served_by
FROM app.runs
WHERE workflow_id = %(wid)s OR id = %(wid)s;

-- name: intent
SELECT id, json, recipe_id, recipe_v, recipe_hash FROM app.intents WHERE id = %(intent_id)s;

-- name: words
-- What the run's status became, after the words that were seen already.
SELECT id, status FROM app.status_history WHERE run_id = %(run_id)s AND id > %(after)s ORDER BY id;
