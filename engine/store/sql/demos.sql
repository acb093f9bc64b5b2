-- name: mark
-- The log has no key; the checkpoint has, and both are one statement.
WITH fresh AS (
    INSERT INTO app.mark_checkpoints (workflow_id, function_id) VALUES (%(workflow_id)s, %(function_id)s)
    ON CONFLICT DO NOTHING
    RETURNING workflow_id
)
INSERT INTO app.marks (workflow_id, mark) SELECT workflow_id, %(mark)s FROM fresh;

-- name: marks
SELECT mark, count(*) AS times FROM app.marks WHERE workflow_id = %(workflow_id)s GROUP BY mark;

-- name: name_of
SELECT name FROM dbos.workflow_status WHERE workflow_uuid = %(workflow_id)s;

-- name: start
-- Once for an id: another start of it finds the workflow that there is.
SELECT dbos.enqueue_workflow(workflow_name => %(name)s, queue_name => 'controlQ', workflow_id => %(workflow_id)s,
                             named_args => json_build_object('sleep_s', %(sleep_s)s::float),
                             app_version => %(app_version)s, application_name => 'spec11');
