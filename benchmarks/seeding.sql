-- Rows of N runs in both schemas, as the engine itself would have left them. One statement per name, in this order.
-- Every digest is a true digest, so the proofs of a seeded run pass. tests/benchmarks/test_seeding.py compares with real runs.

-- name: digest
CREATE FUNCTION public.seed_hex(said text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
    $$ SELECT encode(sha256(convert_to(said, 'UTF8')), 'hex') $$;

-- name: runs_to_be
-- One row for each run: what it is called and when it came. Finished runs ended within 30 days, the others came lately.
CREATE UNLOGGED TABLE public.seed AS
WITH numbers AS (
    SELECT n, CASE WHEN n > %(finished)s + %(waiting)s THEN 'queued' WHEN n > %(finished)s THEN 'waiting'
                   WHEN n %% 100 = 50 THEN 'refused' WHEN n %% 100 = 0 THEN 'canceled' ELSE 'succeeded' END AS kind,
           CASE WHEN n > %(finished)s
                THEN clock_timestamp() - interval '6 hours' * (1 - (n - %(finished)s - 1.0) / (%(runs)s - %(finished)s))
                     - interval '1 minute'
                ELSE clock_timestamp() - interval '30 days' * (1 - (n - 1.0) / %(finished)s) - interval '10 minutes'
                END AS at
    FROM generate_series(1, %(runs)s) AS n
), goals AS (
    SELECT n, kind, date_trunc('milliseconds', at) AS at, 'seed ' || n AS wish,
           'Goal: seed ' || n || ' (Collect report for alpha)' AS goal
    FROM numbers
), intents AS (
    SELECT *, '{"constraints":{"stepLibrary":{"primitives":["Collect","Fetch","Extract","Normalize","Decide","Act","Report"]}},'
              '"goal":"' || goal || '","inputs":{"goal":"' || wish || '","topic":"alpha"}}' AS intent,
           '{"design":["Collect what the goal names, then report on it."],"files":[],"goal":"' || goal
               || '","risks":["The sources may say nothing new."],"tests":["smoke"]}' AS plan
    FROM goals
), named AS MATERIALIZED (
    SELECT *, public.seed_hex(intent) AS hash FROM intents
), owned AS MATERIALIZED (
    SELECT *, 'ih_' || hash AS wid, 'run_' || left(public.seed_hex('{"workflowId":"ih_' || hash || '"}'), 32) AS run_id FROM named
)
SELECT *, app.millis(at) AS ms, 'tenant-' || n %% 40 AS tenant,
       CASE WHEN n %% 10 = 5 THEN 'batch' ELSE 'interactive' END AS lane,
       CASE WHEN n %% 10 = 5 THEN 1000 ELSE 1 END AS priority,
       CASE WHEN kind = 'waiting' THEN 86400 ELSE 3600 END AS ttl_s,
       'approve-plan-' || left(public.seed_hex(run_id || ':ApplyPatchST:approve-plan:1'), 16) AS gate_key,
       CASE WHEN kind = 'succeeded' THEN public.seed_hex(
           '{"intentId":"' || wid || '","normalizedReq":{"cmd":"run-test","templateKey":"env:local-node-24",'
           '"templateRef":"local-node-24","test":"smoke"},"runId":"' || run_id || '","stepId":"ExecuteST"}') END AS task_key,
       CASE kind WHEN 'succeeded' THEN 'yes' WHEN 'refused' THEN 'no' END AS choice,
       CASE WHEN kind IN ('succeeded', 'refused') THEN gen_random_uuid() END AS interaction_id
FROM owned;

-- name: analyze_seed
ANALYZE public.seed;

-- name: intents
INSERT INTO app.intents (id, intent_hash, goal, json, recipe_id, recipe_v, recipe_hash, created_at)
SELECT s.wid, s.hash, s.goal, s.intent::jsonb, v.id, v.v, v.hash, s.at
FROM public.seed s, app.recipe_versions v
WHERE v.id = 'compile-default' AND v.v = 'v1';

-- name: runs
INSERT INTO app.runs (id, workflow_id, intent_id, intent_hash, recipe_id, recipe_v, recipe_hash, status, execution_id, queue_name,
                      queue_partition_key, lane, priority, gate_ttl_s, app_version, last_step, next_action, error,
                      created_at, updated_at)
SELECT s.run_id, s.wid, s.wid, s.hash, v.id, v.v, v.hash,
       CASE s.kind WHEN 'waiting' THEN 'waiting_input' WHEN 'refused' THEN 'retries_exceeded' ELSE s.kind END,
       s.wid, 'intentQ', s.tenant, s.lane, s.priority, s.ttl_s, %(app_version)s,
       CASE s.kind WHEN 'queued' THEN NULL WHEN 'succeeded' THEN 'ExecuteST' ELSE 'ApplyPatchST' END,
       CASE s.kind WHEN 'waiting' THEN 'APPROVE_PLAN' WHEN 'refused' THEN 'REPAIR' END,
       CASE s.kind WHEN 'refused' THEN 'Plan approval failed: no' END,
       s.at, s.at + CASE s.kind WHEN 'queued' THEN interval '0' WHEN 'waiting' THEN interval '250 ms'
                                ELSE interval '900 ms' END
FROM public.seed s, app.recipe_versions v
WHERE v.id = 'compile-default' AND v.v = 'v1';

-- name: status_history
INSERT INTO app.status_history (run_id, status, at)
SELECT s.run_id, word, s.at + interval '1 ms' * at_ms
FROM public.seed s, LATERAL (VALUES (1, 'running', 100), (2, 'waiting_input', 250), (3, 'running', 450),
                             (4, CASE kind WHEN 'refused' THEN 'retries_exceeded' ELSE kind END, 900)) AS h (place, word, at_ms)
WHERE s.kind <> 'queued'
  AND (place <= 2 OR place = 3 AND s.kind = 'succeeded' OR place = 4 AND s.kind <> 'waiting');

-- name: run_steps
INSERT INTO app.run_steps (run_id, step_id, phase, output, started_at, finished_at)
SELECT s.run_id, step_id, phase, output::jsonb, s.at + interval '1 ms' * (at_ms - 5), s.at + interval '1 ms' * at_ms
FROM public.seed s, LATERAL (VALUES
    (1, 'CompileST', 'compilation', s.plan, 150),
    (2, 'ApplyPatchST', 'patching', s.plan, 200),
    (3, 'DecideST', 'planning', '{"patch": [], "tests": ["smoke"], "test_command": "run-test"}', 550),
    (4, 'ExecuteST', 'execution',
     '{"exit": 0, "tasks": [{"attempt": 1, "errCode": "NONE", "taskKey": "' || s.task_key || '"}], "stderr": "",'
     '"stdout": "OK: run-test smoke\n", "attempt": 1, "errCode": "NONE",'
     '"metrics": {"cpuMs": 1, "wallMs": 1, "memPeakMB": 1, "billedMinutes": 1}}', 898)
) AS t (place, step_id, phase, output, at_ms)
WHERE s.kind <> 'queued' AND (place <= 2 OR s.kind = 'succeeded');

-- name: artifacts_of_steps
INSERT INTO app.artifacts (run_id, step_id, idx, kind, uri, inline, sha256, created_at)
SELECT s.run_id, step_id, idx, t.kind, 'artifact://run/' || s.run_id || '/step/' || step_id || '/task//' || name,
       inline::jsonb, sha, s.at + interval '1 ms' * at_ms
FROM public.seed s, LATERAL (VALUES
    (1, 'CompileST', 0, 'plan_card', 'plan.json', s.plan, public.seed_hex(s.plan), 151),
    (2, 'ApplyPatchST', 999, 'none', 'none', '{"text": "none"}', public.seed_hex('none'), 201),
    (3, 'DecideST', 999, 'none', 'none', '{"text": "none"}', public.seed_hex('none'), 551)
) AS t (place, step_id, idx, kind, name, inline, sha, at_ms)
WHERE s.kind <> 'queued' AND (place <= 2 OR s.kind = 'succeeded');

-- name: artifacts_of_tasks
WITH tasks AS (
    SELECT n, run_id, task_key, at, 'artifact://run/' || run_id || '/step/ExecuteST/task/' || task_key || '/' AS place,
           '{"billedMinutes":1,"cpuMs":1,"cutBytes":0,"memPeakMB":1,"outputBytes":21,"wallMs":1}' AS metrics
    FROM public.seed WHERE kind = 'succeeded'
), raws AS (
    SELECT *, '{"attempt":1,"errCode":"NONE","exit":0,"metrics":' || metrics || ',"sandboxRef":"mock-runner","taskKey":"'
              || task_key || '"}' AS raw
    FROM tasks
), items AS (
    SELECT *, public.seed_hex(metrics) AS metrics_sha, public.seed_hex(raw) AS raw_sha FROM raws
), lists AS (
    SELECT *, '{"items":['
        '{"kind":"file","sha256":"' || public.seed_hex('{}') || '","uri":"' || place || 'files/out.json"},'
        '{"kind":"timings","sha256":"' || metrics_sha || '","uri":"' || place || 'metrics.json"},'
        '{"kind":"raw","sha256":"' || raw_sha || '","uri":"' || place || 'raw.json"},'
        '{"kind":"stderr","sha256":"' || public.seed_hex('') || '","uri":"' || place || 'stderr.log"},'
        '{"kind":"stdout","sha256":"' || public.seed_hex(E'OK: run-test smoke\n') || '","uri":"' || place || 'stdout.log"}],'
        '"provider":"mock","taskKey":"' || task_key || '"}' AS list
    FROM items
)
INSERT INTO app.artifacts (run_id, step_id, task_key, idx, kind, uri, inline, sha256, created_at)
SELECT l.run_id, 'ExecuteST', l.task_key, idx, kind, l.place || name, inline::jsonb, sha, l.at + interval '801 ms'
FROM lists l, LATERAL (VALUES
    (0, 'artifact_index', 'index.json', l.list, public.seed_hex(l.list)),
    (1, 'file', 'files/out.json', '{"text": "{}"}', public.seed_hex('{}')),
    (2, 'timings', 'metrics.json', l.metrics, l.metrics_sha),
    (3, 'raw', 'raw.json', l.raw, l.raw_sha),
    (4, 'stderr', 'stderr.log', '{"text": ""}', public.seed_hex('')),
    (5, 'stdout', 'stdout.log', '{"text": "OK: run-test smoke\n"}', public.seed_hex(E'OK: run-test smoke\n'))
) AS t (idx, kind, name, inline, sha);

-- name: audits
WITH said AS (
    SELECT n, run_id, at, wid, 'op-intent:cancel:' || gen_random_uuid() AS task_key,
           '{"actor":"bench","at":"' || to_char((at + interval '890 ms') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
               || '","forkedWorkflowID":null,"op":"cancel","outcome":"applied","reason":"not needed","targetWorkflowID":"'
               || wid || '"}' AS audit
    FROM public.seed WHERE kind = 'canceled'
)
INSERT INTO app.artifacts (run_id, step_id, task_key, idx, kind, uri, inline, sha256, created_at)
SELECT run_id, 'OPS', task_key, 0, 'json_diagnostic',
       'artifact://run/' || run_id || '/step/OPS/task/' || task_key || '/op-intent-cancel.json', audit::jsonb,
       public.seed_hex(audit), at + interval '891 ms'
FROM said;

-- name: opencode_calls
WITH prompts AS (
    SELECT s.n, s.kind, s.run_id, s.at, t.*
    FROM public.seed s, LATERAL (VALUES
        (1, 'CompileST', 'plan', E'Plan how to reach this goal. Answer in JSON of the given schema only.\n' || s.intent,
         %(plan_schema)s, '{"files": [], "risks": ["The sources may say nothing new."], "tests": ["smoke"],'
         '"design": ["Collect what the goal names, then report on it."]}', %(plan_served)s, 149),
        (2, 'DecideST', 'build', E'Build this approved plan. Answer in JSON of the given schema only.\n' || s.plan,
         %(build_schema)s, '{"patch": [], "tests": ["smoke"], "test_command": "run-test"}', %(build_served)s, 549)
    ) AS t (place, step_id, agent, prompt, schema_hash, structured, served_by, at_ms)
    WHERE s.kind <> 'queued' AND (place = 1 OR s.kind = 'succeeded')
)
INSERT INTO app.opencode_calls (op_key, run_id, step_id, agent, prompt, schema_hash, structured, tool_calls, served_by, created_at)
SELECT public.seed_hex('["' || run_id || '","' || step_id || '",1,"' || schema_hash || '","'
                   || public.seed_hex(to_json(prompt)::text) || '"]'),
       run_id, step_id, agent, prompt, schema_hash, structured::jsonb, '["read"]', served_by, at + interval '1 ms' * at_ms
FROM prompts;

-- name: human_gates
INSERT INTO app.human_gates (run_id, gate_key, workflow_id, topic, listen_topic, step_id, purpose, state, prompt, result, decision,
                             created_at, deadline_at, closed_at)
SELECT run_id, gate_key, wid, 'human:' || gate_key, 'human:' || gate_key, 'ApplyPatchST', 'approve-plan',
       CASE kind WHEN 'waiting' THEN 'PENDING' WHEN 'canceled' THEN 'CANCELLED' ELSE 'RESOLVED' END,
       jsonb_build_object('schemaVersion', 1, 'formSchema', '{"v": 1, "title": "Approve?", "fields": [
           {"k": "choice", "t": "enum", "vs": ["yes", "no"]}, {"k": "rationale", "t": "str", "opt": true}]}'::jsonb,
           'ttlS', ttl_s, 'createdAt', ms + 250, 'deadlineAt', ms + 250 + 1000 * ttl_s, 'uiHints', null, 'defaults', null),
       CASE kind WHEN 'waiting' THEN NULL
                 WHEN 'canceled' THEN jsonb_build_object('schemaVersion', 1, 'state', 'CANCELLED', 'at', ms + 900)
                 ELSE jsonb_build_object('schemaVersion', 1, 'state', 'RECEIVED', 'at', ms + 400,
                                         'payload', jsonb_build_object('choice', choice),
                                         'payloadHash', public.seed_hex('{"choice":"' || choice || '"}')) END,
       choice, at + interval '250 ms', at + interval '250 ms' + make_interval(secs => ttl_s),
       CASE kind WHEN 'waiting' THEN NULL WHEN 'canceled' THEN at + interval '900 ms' ELSE at + interval '400 ms' END
FROM public.seed WHERE kind <> 'queued';

-- name: human_interactions
INSERT INTO app.human_interactions (id, run_id, workflow_id, gate_key, topic, dedupe_key, payload_hash, payload, origin, created_at)
SELECT interaction_id, run_id, wid, gate_key, 'human:' || gate_key, 'seed', public.seed_hex('{"choice":"' || choice || '"}'),
       jsonb_build_object('choice', choice), 'manual', at + interval '400 ms'
FROM public.seed WHERE choice IS NOT NULL;

-- name: sbx_selections
INSERT INTO app.sbx_selections (run_id, task_key, attempt, template_key, recipe_id, recipe_v, deps_hash, selected_at)
SELECT run_id, task_key, 1, 'compile-default:v1:' || %(deps_hash)s, 'compile-default', 'v1', %(deps_hash)s, at + interval '700 ms'
FROM public.seed WHERE kind = 'succeeded';

-- name: sbx_runs
INSERT INTO app.sbx_runs (run_id, step_id, task_key, provider, request, response, err_code, metrics, created_at)
SELECT run_id, 'ExecuteST', task_key, 'mock', jsonb_build_object('cmd', 'run-test smoke', 'key', task_key),
       jsonb_build_object('exit', 0, 'stderr', '', 'stdout', E'OK: run-test smoke\n', 'attempt', 1, 'errCode', 'NONE',
                          'metrics', %(metrics)s::jsonb, 'taskKey', task_key, 'filesOut', '{"out.json": "{}"}'::jsonb,
                          'sandboxRef', 'mock-runner'),
       'NONE', %(metrics)s::jsonb, at + interval '800 ms'
FROM public.seed WHERE kind = 'succeeded';

-- name: mock_receipts
WITH decided AS (
    SELECT public.seed_hex('{"patch":[],"test_command":"run-test","tests":["smoke"]}') AS decision
)
INSERT INTO app.mock_receipts (receipt_key, run_id, step_id, execution_id, payload_hash, created_at)
SELECT public.seed_hex('["' || run_id || '",1,"ExecuteST","' || decision || '"]'), run_id, 'ExecuteST', wid, decision,
       at + interval '899 ms'
FROM public.seed, decided WHERE kind = 'succeeded';

-- name: workflow_status
INSERT INTO dbos.workflow_status (workflow_uuid, status, name, executor_id, created_at, updated_at, application_version,
                                  application_id, recovery_attempts, queue_name, started_at_epoch_ms, priority,
                                  queue_partition_key, owner_xid, creator_xid, parent_workflow_id, serialization, completed_at,
                                  application_name)
SELECT wid, CASE kind WHEN 'queued' THEN 'ENQUEUED' WHEN 'waiting' THEN 'PENDING' WHEN 'refused' THEN 'ERROR'
                      WHEN 'canceled' THEN 'CANCELLED' ELSE 'SUCCESS' END,
       'RunIntent', CASE kind WHEN 'queued' THEN NULL ELSE 'w0' END, ms,
       ms + CASE kind WHEN 'queued' THEN 0 WHEN 'waiting' THEN 90 ELSE 950 END, %(app_version)s, NULL,
       CASE kind WHEN 'queued' THEN 0 ELSE 1 END, CASE kind WHEN 'canceled' THEN NULL ELSE 'intentQ' END,
       CASE WHEN kind NOT IN ('queued', 'canceled') THEN ms + 90 END, priority, tenant,
       CASE WHEN kind IN ('queued', 'waiting') THEN gen_random_uuid()::text END, NULL, NULL, 'portable_json',
       CASE WHEN kind NOT IN ('queued', 'waiting') THEN ms + 950 END, 'spec11'
FROM public.seed
UNION ALL
SELECT task_key, 'SUCCESS', 'RunTask', 'w0', ms + 600, ms + 820, %(app_version)s, '', 1, 'sbxQ', ms + 690, priority, tenant, NULL,
       gen_random_uuid()::text, wid, 'portable_json', ms + 820, 'spec11'
FROM public.seed WHERE kind = 'succeeded'
ORDER BY 5;

-- name: workflow_input
INSERT INTO dbos.workflow_input (workflow_uuid, inputs, retention_timestamp)
SELECT wid, '{"positionalArgs" : [], "namedArgs" : {"workflow_id" : "' || wid || '"}}', ms FROM public.seed
UNION ALL
SELECT task_key, '{"namedArgs":{},"positionalArgs":["' || run_id || '","' || task_key || '","run-test smoke"]}', ms + 600
FROM public.seed WHERE kind = 'succeeded'
ORDER BY 3;

-- name: workflow_output
INSERT INTO dbos.workflow_output (workflow_uuid, output, error, retention_timestamp)
SELECT wid, CASE kind WHEN 'succeeded' THEN '{"errCode":"NONE","exit":0,"tasks":1}' END,
       CASE kind WHEN 'refused' THEN '{"name":"RunFailed","message":"Plan approval failed: no","code":null}' END, ms + 950
FROM public.seed WHERE kind IN ('succeeded', 'refused')
UNION ALL
SELECT task_key, '{"taskKey":"' || task_key || '",' || %(task_output)s, NULL, ms + 820
FROM public.seed WHERE kind = 'succeeded'
ORDER BY 4;

-- name: operation_outputs
INSERT INTO dbos.operation_outputs (workflow_uuid, function_id, function_name, output, child_workflow_id, started_at_epoch_ms,
                                    completed_at_epoch_ms, serialization, application_name, retention_timestamp)
SELECT CASE place WHEN 0 THEN s.task_key ELSE s.wid END, CASE place WHEN 0 THEN 1 ELSE place END, function_name, output,
       CASE WHEN place IN (8, 9) AND s.kind = 'succeeded' THEN s.task_key END, s.ms + at_ms - 10, s.ms + at_ms,
       CASE WHEN output IS NOT NULL THEN 'portable_json' END, 'spec11', s.ms + at_ms + 1
FROM public.seed s, LATERAL (VALUES
    (1, 'CompileST', '{"plan":' || s.plan || ',"constraints":{"stepLibrary":{"primitives":["Collect","Fetch","Extract",'
                     '"Normalize","Decide","Act","Report"]}},"budget":null}', 160, NULL),
    (2, 'ApplyPatchST', s.plan, 210, NULL),
    (3, 'OpenGate', '{"leftS":3599.97909}', 260, NULL),
    (5, 'DBOS.sleep', ((s.ms + 250) / 1000.0 + s.ttl_s)::text, 270, NULL),
    (4, 'DBOS.recv', '{"choice":"' || s.choice || '"}', 420, 'answered'),
    (6, 'CloseGate', CASE s.choice WHEN 'no' THEN '{"refusal":{"reason":null}}' ELSE '{"refusal":null}' END, 460, 'answered'),
    (7, 'DecideST', '{"build":{"patch":[],"tests":["smoke"],"test_command":"run-test"},"place":{"partition":"' || s.tenant
                    || '","priority":' || s.priority || '}}', 560, 'succeeded'),
    (8, 'RunTask', NULL, 610, 'succeeded'),
    (0, 'executeTask', '{"taskKey":"' || s.task_key || '",' || %(task_output)s, 810, 'succeeded'),
    (9, 'DBOS.getResult', '{"taskKey":"' || s.task_key || '",' || %(task_output)s, 830, 'succeeded'),
    (10, 'ExecuteST', '{"errCode":"NONE","exit":0,"attempt":1,"stdout":"OK: run-test smoke\n","stderr":"","metrics":{"wallMs":1,'
                      '"cpuMs":1,"memPeakMB":1,"billedMinutes":1},"tasks":[{"taskKey":"' || s.task_key
                      || '","errCode":"NONE","attempt":1}]}', 910, 'succeeded'),
    (7, 'Rollback', '"Plan approval failed: no"', 470, 'refused'),
    (8, 'Fail', 'null', 910, 'refused')
) AS o (place, function_name, output, at_ms, only_of)
WHERE s.kind <> 'queued' AND (only_of IS NULL OR only_of = s.kind OR only_of = 'answered' AND s.choice IS NOT NULL);

-- name: notifications
INSERT INTO dbos.notifications (destination_uuid, topic, message, message_uuid, created_at_epoch_ms, serialization, consumed,
                                consumed_by_function_id)
SELECT wid, 'human:' || gate_key, CASE kind WHEN 'canceled' THEN '{}' ELSE '{"choice": "' || choice || '"}' END,
       coalesce(interaction_id, gen_random_uuid())::text, ms + 400, 'portable_json', kind <> 'canceled',
       CASE WHEN kind <> 'canceled' THEN 4 END
FROM public.seed WHERE kind NOT IN ('queued', 'waiting');

-- name: workflow_events
WITH told AS (
    SELECT s.n, s.wid, e.*
    FROM public.seed s JOIN app.human_gates g USING (run_id, gate_key), LATERAL (VALUES
        (3, 'ui:' || g.gate_key, g.prompt::text),
        (6, 'ui:' || g.gate_key || ':result', g.result::text),
        (6, 'ui:' || g.gate_key || ':audit', jsonb_build_object('at', s.ms + 455, 'actor', null, 'event', 'RECEIVED',
                                                                'reason', null, 'schemaVersion', 1)::text),
        (6, 'decision:' || g.gate_key, jsonb_build_object('at', s.ms + 455, 'payload', jsonb_build_object('rationale', null),
                                                          'decision', s.choice, 'schemaVersion', 1)::text)
    ) AS e (function_id, key, value)
    WHERE e.function_id = 3 OR s.choice IS NOT NULL
), events AS (
    INSERT INTO dbos.workflow_events (workflow_uuid, key, value, serialization)
    SELECT wid, key, value, 'portable_json' FROM told
)
INSERT INTO dbos.workflow_events_history (workflow_uuid, function_id, key, value, serialization)
SELECT wid, function_id, key, value, 'portable_json' FROM told;

-- name: open_prompts
INSERT INTO dbos.spec11_open_prompts (id, key) SELECT wid, 'ui:' || gate_key FROM public.seed
WHERE kind IN ('waiting', 'canceled');
