-- name: by_id
SELECT w.status, w.application_version, o.output
FROM dbos.workflow_status w
LEFT JOIN dbos.workflow_output o USING (workflow_uuid)
WHERE w.workflow_uuid = %(execution_id)s;


-- name: has_ended
SELECT EXISTS (SELECT FROM dbos.workflow_status
               WHERE workflow_uuid = %(workflow_id)s AND status NOT IN ('ENQUEUED', 'DELAYED', 'PENDING')) AS ended;
