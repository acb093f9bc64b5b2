-- name: by_id
SELECT w.status, w.application_version, o.output
FROM dbos.workflow_status w
LEFT JOIN dbos.workflow_output o USING (workflow_uuid)
WHERE w.workflow_uuid = %(execution_id)s;

-- name: stream
SELECT value FROM dbos.streams
WHERE workflow_uuid = %(execution_id)s AND key = %(key)s AND "offset" >= %(position)s
ORDER BY "offset";
