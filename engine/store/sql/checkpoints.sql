-- name: find
-- How the workflow stands, and what is on record of one of its steps.
SELECT w.status, w.owner_xid AS owner, o.function_name AS name, o.output, o.error, o.serialization,
       o.child_workflow_id
FROM dbos.workflow_status w
LEFT JOIN dbos.operation_outputs o ON o.workflow_uuid = w.workflow_uuid AND o.function_id = %(number)s
WHERE w.workflow_uuid = %(workflow_id)s;

-- name: keep
-- The row of the workflow is locked first and read as it then is, so nobody takes the workflow over between the look at
-- its owner and the record. No row: another execution owns it. Another time than ours: the step was on record before.
WITH owner AS MATERIALIZED (
    SELECT owner_xid FROM dbos.workflow_status WHERE workflow_uuid = %(workflow_id)s FOR NO KEY UPDATE
)
INSERT INTO dbos.operation_outputs AS o (workflow_uuid, function_id, function_name, output, error, started_at_epoch_ms,
                                         completed_at_epoch_ms, serialization, application_name, retention_timestamp)
SELECT %(workflow_id)s, %(number)s, %(name)s, %(output)s, %(error)s, %(began_ms)s, %(ended_ms)s, 'portable_json',
       %(application)s, app.millis(clock_timestamp())
FROM owner
WHERE owner_xid = %(owner)s
ON CONFLICT (workflow_uuid, function_id) DO UPDATE SET completed_at_epoch_ms = o.completed_at_epoch_ms
RETURNING completed_at_epoch_ms;
