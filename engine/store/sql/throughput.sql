-- name: fairness
SELECT queue_name, partition_key, status, workflow_count, started_count, max_latency_ms, oldest_created_at, newest_created_at
FROM app.v_ops_queue_fairness
ORDER BY queue_name, partition_key NULLS FIRST, status;

-- name: priority
SELECT queue_name, priority, status, workflow_count, started_count, avg_latency_ms, p95_latency_ms, max_latency_ms
FROM app.v_ops_queue_priority
ORDER BY queue_name, priority, status;

-- name: budgets
-- The newest violations, as their documents tell of them.
SELECT run_id, uri, inline ->> 'metric' AS metric, inline ->> 'unit' AS unit, (inline ->> 'limit')::bigint AS allowed,
       (inline ->> 'observed')::bigint AS observed, inline ->> 'outcome' AS outcome, created_at AS at
FROM app.artifacts
WHERE step_id = 'BUDGET'
ORDER BY created_at DESC, run_id, task_key, idx
LIMIT %(limit)s;

-- name: templates
-- Attempts of the last hour that ended: what each took beside its command is the boot.
SELECT b.recipe_id, b.recipe_v, b.template_key, b.template_id, count(*) AS run_count,
       round(avg(greatest(0, extract(epoch FROM s.created_at - b.selected_at) * 1000
                             - (s.metrics ->> 'wallMs')::numeric)))::bigint AS avg_boot_ms,
       round(avg((s.metrics ->> 'wallMs')::numeric))::bigint AS avg_exec_ms
FROM app.sbx_selections b
JOIN app.sbx_runs s ON s.run_id = b.run_id AND s.task_key = b.task_key AND s.attempt = b.attempt
WHERE b.selected_at > clock_timestamp() - interval '1 hour'
GROUP BY 1, 2, 3, 4
ORDER BY 3, 4 NULLS FIRST;

-- name: at_one_moment
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;
