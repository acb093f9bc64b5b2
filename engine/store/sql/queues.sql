-- name: depth
SELECT queue_name, status, workflow_count, oldest_created_at, newest_created_at
FROM app.v_ops_queue_depth
ORDER BY queue_name, status
LIMIT %(limit)s;
