-- name: by_id
SELECT w.status, w.application_version, o.output
FROM dbos.workflow_status w
LEFT JOIN dbos.workflow_output o USING (workflow_uuid)
WHERE w.workflow_uuid = %(execution_id)s;


-- name: ended
SELECT workflow_uuid FROM dbos.workflow_status
WHERE workflow_uuid = ANY(%(workflow_ids)s) AND status NOT IN ('ENQUEUED', 'DELAYED', 'PENDING');

-- name: undelivered
-- Messages that wait for one of the workflows, by the key under which it waits: as the durable engine's trigger makes it.
SELECT DISTINCT destination_uuid || '::' || topic FROM dbos.notifications
WHERE destination_uuid = ANY(%(workflow_ids)s) AND NOT consumed;
