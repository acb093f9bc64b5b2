-- name: newest
SELECT workflow_uuid, status, name, class_name, queue_name, application_version, parent_workflow_id, forked_from,
       created_at, updated_at
FROM dbos.workflow_status
ORDER BY created_at DESC, workflow_uuid
LIMIT %(limit)s;

-- name: list
-- The newest of each name and status, and of these the newest: pairs that there are, from one to the next in the index.
-- Their order is asked for, not their equality: only the index of all three has it.
WITH RECURSIVE pairs (name, status) AS (
    (SELECT name, status FROM dbos.workflow_status ORDER BY name, status LIMIT 1)
    UNION ALL
    SELECT n.name, n.status FROM pairs p CROSS JOIN LATERAL (
        SELECT name, status FROM dbos.workflow_status
        WHERE (name, status) > (p.name, p.status) ORDER BY name, status LIMIT 1
    ) n
), named AS (
    SELECT w.* FROM pairs p CROSS JOIN LATERAL (
        SELECT * FROM dbos.workflow_status
        WHERE (name, status) >= (p.name, p.status) AND (name, status) <= (p.name, p.status)
        ORDER BY name DESC, status DESC, created_at DESC, workflow_uuid
        LIMIT %(limit)s
    ) w
    WHERE (%(status)s::text IS NULL OR p.status = %(status)s) AND (%(name)s::text IS NULL OR p.name = %(name)s)
), nameless AS (
    SELECT * FROM dbos.workflow_status
    WHERE name IS NULL AND status = %(status)s AND %(name)s::text IS NULL
    ORDER BY created_at DESC, workflow_uuid
    LIMIT %(limit)s
)
SELECT workflow_uuid, status, name, class_name, queue_name, application_version, parent_workflow_id, forked_from,
       created_at, updated_at
FROM (SELECT * FROM named UNION ALL SELECT * FROM nameless) w
ORDER BY created_at DESC, workflow_uuid
LIMIT %(limit)s;

-- name: one
SELECT workflow_uuid, status, name, class_name, queue_name, application_version, parent_workflow_id, forked_from,
       created_at, updated_at
FROM dbos.workflow_status
WHERE workflow_uuid = %(workflow_id)s;

-- name: operations
SELECT function_id, function_name, error, started_at_epoch_ms AS started_at, completed_at_epoch_ms AS completed_at,
       child_workflow_id
FROM dbos.operation_outputs
WHERE workflow_uuid = %(workflow_id)s
ORDER BY function_id;

-- name: run_of
-- The run that an execution owns, or owned.
SELECT id FROM app.runs WHERE execution_id = %(workflow_id)s OR workflow_id = %(workflow_id)s;

-- name: owner
-- The run of a live execution, locked: whoever wants to move it waits for us.
SELECT id, workflow_id, status, queue_name FROM app.runs WHERE execution_id = %(workflow_id)s FOR UPDATE;

-- name: engine_status
SELECT status FROM dbos.workflow_status WHERE workflow_uuid = %(workflow_id)s FOR UPDATE;

-- name: audit
SELECT inline FROM app.artifacts WHERE run_id = ANY(%(run_ids)s) AND step_id = 'OPS' ORDER BY created_at DESC, task_key DESC;

-- name: keep_audit
INSERT INTO app.artifacts (run_id, step_id, task_key, idx, kind, uri, inline, sha256)
VALUES (%(run_id)s, 'OPS', %(task_key)s, %(idx)s, %(kind)s, %(uri)s, %(inline)s::jsonb, %(sha256)s);

-- name: now
SELECT clock_timestamp() AS now, gen_random_uuid()::text AS token;

-- name: cancel_engine
-- As the durable engine itself cancels, with every workflow below.
WITH RECURSIVE family AS (
    SELECT workflow_uuid FROM dbos.workflow_status WHERE workflow_uuid = %(workflow_id)s
    UNION
    SELECT w.workflow_uuid FROM dbos.workflow_status w JOIN family f ON w.parent_workflow_id = f.workflow_uuid
)
UPDATE dbos.workflow_status w
SET status = 'CANCELLED', owner_xid = null, queue_name = null, deduplication_id = null, started_at_epoch_ms = null,
    updated_at = app.millis(clock_timestamp()), completed_at = app.millis(clock_timestamp())
WHERE w.workflow_uuid = ANY(ARRAY(SELECT workflow_uuid FROM family)) AND w.status IN ('ENQUEUED', 'DELAYED', 'PENDING');

-- name: cancel_run
UPDATE app.runs SET status = 'canceled', next_action = null, updated_at = clock_timestamp() WHERE id = %(run_id)s;

-- name: close_gates
-- Nobody may answer any more, and whoever listens wakes up and finds the run canceled.
WITH closed AS (
    UPDATE app.human_gates
    SET state = 'CANCELLED', closed_at = clock_timestamp(),
        result = jsonb_build_object('schemaVersion', 1, 'state', 'CANCELLED', 'at', app.millis(clock_timestamp()))
    WHERE workflow_id = %(workflow_id)s AND state = 'PENDING'
    RETURNING listen_topic
)
SELECT dbos.send_message(%(workflow_id)s, '{}'::json, listen_topic) FROM (SELECT DISTINCT listen_topic FROM closed) AS topics;

-- name: compensate
-- A workflow of its own takes back what the run has written; none where nothing was begun. A row without its mark
-- counts: the file may be written already, or be about to be.
SELECT dbos.enqueue_workflow(
    workflow_name => %(workflow_name)s, queue_name => 'controlQ', named_args => json_build_object('run_id', %(run_id)s::text),
    workflow_id => %(compensation_id)s, app_version => (SELECT app_version FROM app.runs WHERE id = %(run_id)s),
    application_name => 'spec11')
WHERE EXISTS (SELECT FROM app.patch_history
              WHERE run_id = %(run_id)s AND rolled_back_at IS NULL);

-- name: resume_engine
-- As the durable engine itself resumes, back to the queue it came from; what was canceled below comes along.
WITH RECURSIVE family AS (
    SELECT workflow_uuid FROM dbos.workflow_status WHERE workflow_uuid = %(workflow_id)s
    UNION
    SELECT w.workflow_uuid FROM dbos.workflow_status w JOIN family f ON w.parent_workflow_id = f.workflow_uuid
)
UPDATE dbos.workflow_status w
SET status = 'ENQUEUED', owner_xid = null, recovery_attempts = 0, workflow_deadline_epoch_ms = null,
    started_at_epoch_ms = null, completed_at = null, updated_at = app.millis(clock_timestamp()),
    queue_name = CASE w.name WHEN %(run)s THEN 'intentQ' WHEN %(task)s THEN 'sbxQ' ELSE 'controlQ' END
WHERE w.workflow_uuid = ANY(ARRAY(SELECT workflow_uuid FROM family)) AND w.status = 'CANCELLED';

-- name: reopen_gates
-- Gates that only the cancellation closed ask again, for their whole time.
WITH moment AS (
    SELECT date_trunc('milliseconds', clock_timestamp()) AS at
), reopened AS (
    UPDATE app.human_gates g
    SET state = 'PENDING', result = null, closed_at = null, created_at = at,
        deadline_at = at + make_interval(secs => (prompt ->> 'ttlS')::int),
        prompt = prompt || jsonb_build_object('createdAt', app.millis(at),
                                              'deadlineAt', app.millis(at) + 1000 * (prompt ->> 'ttlS')::int)
    FROM moment
    WHERE workflow_id = %(workflow_id)s AND state = 'CANCELLED'
      AND NOT EXISTS (SELECT FROM app.human_gates o
                      WHERE o.workflow_id = g.workflow_id AND (o.decision = 'no' OR o.state = 'TIMED_OUT'))
    RETURNING gate_key, prompt, purpose
), events AS (
    UPDATE dbos.workflow_events e SET value = prompt::text
    FROM reopened
    WHERE e.workflow_uuid = %(workflow_id)s AND e.key = 'ui:' || gate_key
)
SELECT purpose FROM reopened;

-- name: resume_run
UPDATE app.runs r
SET status = CASE WHEN %(next_action)s::text IS NOT NULL THEN 'waiting_input'
                  WHEN EXISTS (SELECT FROM app.run_steps s WHERE s.run_id = r.id) THEN 'running'
                  ELSE 'queued' END,
    next_action = %(next_action)s, updated_at = clock_timestamp()
WHERE id = %(run_id)s;

-- name: fork_run
-- A run of its own: the same intent under another id, with its own steps to come (D13).
INSERT INTO app.runs (id, workflow_id, intent_id, intent_hash, recipe_id, recipe_v, recipe_hash, execution_id, trace_id,
                      tenant_id, queue_name, queue_partition_key, lane, priority, timeout_ms, workload, budget, gate_ttl_s,
                      app_version, forked_from, last_step)
SELECT %(fork_run_id)s, %(fork_id)s, intent_id, intent_hash, recipe_id, recipe_v, recipe_hash, %(fork_id)s, trace_id, tenant_id,
       queue_name, queue_partition_key, lane, priority, timeout_ms, workload, budget, gate_ttl_s,
       coalesce(%(app_version)s, app_version), id, %(last_step)s
FROM app.runs
WHERE id = %(run_id)s;

-- name: fork_steps
-- Steps that the fork does not repeat, with what they left, under the fork's own names.
WITH newest AS (
    SELECT DISTINCT ON (step_id) * FROM app.run_steps
    WHERE run_id = %(run_id)s AND step_id = ANY(%(steps)s)
    ORDER BY step_id, attempt DESC
), kept AS (
    INSERT INTO app.run_steps (run_id, step_id, attempt, phase, output, trace_id, span_id, started_at, finished_at)
    SELECT %(fork_run_id)s, step_id, 1, phase, output, trace_id, span_id, started_at, finished_at FROM newest
)
INSERT INTO app.artifacts (run_id, step_id, task_key, idx, attempt, kind, uri, inline, sha256)
SELECT %(fork_run_id)s, a.step_id, a.task_key, a.idx, 1, a.kind, replace(a.uri, a.run_id, %(fork_run_id)s), a.inline, a.sha256
FROM app.artifacts a
JOIN newest n ON n.run_id = a.run_id AND n.step_id = a.step_id AND n.attempt = a.attempt
WHERE a.task_key = '';

-- name: fork_engine
SELECT dbos.enqueue_workflow(
    workflow_name => w.name, queue_name => %(queue_name)s, named_args => %(named_args)s::json, workflow_id => %(fork_id)s,
    app_version => coalesce(%(app_version)s, w.application_version), priority => w.priority,
    queue_partition_key => w.queue_partition_key, application_name => 'spec11')
FROM dbos.workflow_status w
WHERE w.workflow_uuid = %(workflow_id)s;

-- name: fork_operations
INSERT INTO dbos.operation_outputs (workflow_uuid, function_id, function_name, output, error, child_workflow_id, application_name,
                                    started_at_epoch_ms, completed_at_epoch_ms, serialization)
SELECT %(fork_id)s, function_id, function_name, output, error, child_workflow_id, application_name, started_at_epoch_ms,
       completed_at_epoch_ms, serialization
FROM dbos.operation_outputs
WHERE workflow_uuid = %(workflow_id)s AND function_id < %(start)s;

-- name: fork_link
UPDATE dbos.workflow_status SET forked_from = %(workflow_id)s WHERE workflow_uuid = %(fork_id)s;

-- name: inputs
SELECT inputs FROM dbos.workflow_input WHERE workflow_uuid = %(workflow_id)s;

-- name: patches_stand
-- Whether everything that the run's newest patches wrote is still in place; true where there are none.
SELECT coalesce(bool_and(applied_at IS NOT NULL AND rolled_back_for IS NULL), true)
FROM app.patch_history p
WHERE run_id = %(run_id)s AND attempt = (SELECT max(attempt) FROM app.patch_history WHERE run_id = %(run_id)s);

-- name: repair
-- One at a time: whoever finds the run in an end that can be repaired moves it out of it (D14).
WITH taken AS (
    UPDATE app.runs
    SET status = 'repairing', retry_count = retry_count + 1, next_action = null, updated_at = clock_timestamp(),
        execution_id = 'rep:' || workflow_id || ':' || (retry_count + 1)
    WHERE id = %(run_id)s AND status IN ('failed', 'retries_exceeded')
    RETURNING id, workflow_id, execution_id, retry_count, app_version, priority
)
SELECT execution_id,
       dbos.enqueue_workflow(
           workflow_name => %(workflow_name)s, queue_name => 'controlQ', workflow_id => execution_id,
           named_args => json_build_object('workflow_id', workflow_id, 'attempt', retry_count + 1),
           app_version => app_version, priority => priority, application_name => 'spec11') AS enqueued
FROM taken;

-- name: done_steps
SELECT DISTINCT step_id FROM app.run_steps WHERE run_id = %(run_id)s;
