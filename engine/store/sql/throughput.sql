-- name: queues
-- The rows of app.v_ops_queue_fairness and of app.v_ops_queue_priority from one look at what they are made of.
WITH parts AS MATERIALIZED (
    SELECT queue_name, nullif(queue_partition_key, '') AS partition_key, priority, status,
           count(*) AS workflow_count,
           count(started_at_epoch_ms) AS started_count,
           sum(started_at_epoch_ms - created_at) AS latency_ms,
           max(started_at_epoch_ms - created_at) AS max_latency_ms,
           array_agg(started_at_epoch_ms - created_at) FILTER (WHERE started_at_epoch_ms IS NOT NULL) AS latencies,
           min(created_at) AS oldest_created_at,
           max(created_at) AS newest_created_at
    FROM app.v_ops_queue_recent
    GROUP BY 1, 2, 3, 4
), fairness AS (
    SELECT queue_name, partition_key, status,
           sum(workflow_count)::bigint AS workflow_count,
           sum(started_count)::bigint AS started_count,
           max(max_latency_ms) AS max_latency_ms,
           min(oldest_created_at) AS oldest_created_at,
           max(newest_created_at) AS newest_created_at
    FROM parts GROUP BY 1, 2, 3
), priority AS (
    SELECT queue_name, priority, status,
           sum(workflow_count)::bigint AS workflow_count,
           sum(started_count)::bigint AS started_count,
           round(sum(latency_ms) / nullif(sum(started_count), 0))::bigint AS avg_latency_ms,
           max(max_latency_ms) AS max_latency_ms
    FROM parts GROUP BY 1, 2, 3
), tails AS (
    SELECT queue_name, priority, status, percentile_disc(0.95) WITHIN GROUP (ORDER BY latency) AS p95_latency_ms
    FROM parts, unnest(latencies) AS latency GROUP BY 1, 2, 3
)
SELECT (SELECT coalesce(json_agg(f ORDER BY queue_name, partition_key NULLS FIRST, status), '[]') FROM fairness f) AS fairness,
       (SELECT coalesce(json_agg(p ORDER BY queue_name, priority, status), '[]')
        FROM (SELECT * FROM priority LEFT JOIN tails USING (queue_name, priority, status)) p) AS priority;

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
WHERE b.selected_at > statement_timestamp() - interval '1 hour'
GROUP BY 1, 2, 3, 4
ORDER BY 3, 4 NULLS FIRST;

-- name: at_one_moment
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;
