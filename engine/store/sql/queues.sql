-- name: depth
SELECT queue_name, status, workflow_count, oldest_created_at, newest_created_at
FROM app.v_ops_queue_depth
ORDER BY queue_name, status
LIMIT %(limit)s;

-- name: waiting
-- Of each queue one step into an index, however many wait there and however many partitions.
SELECT queue FROM unnest(%(names)s::text[]) AS queue
WHERE EXISTS (SELECT 1 FROM dbos.workflow_status WHERE queue_name = queue AND status = 'ENQUEUED');
