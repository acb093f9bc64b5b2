-- name: hold
-- The session's own lock on an executor id: it goes when the process goes, however it goes.
SELECT pg_try_advisory_lock(%(class)s, hashtext(%(executor_id)s)) AS held;

-- name: register
INSERT INTO app.executor_registry (executor_id, incarnation, app_version, pid)
VALUES (%(executor_id)s, %(incarnation)s, %(app_version)s, %(pid)s)
ON CONFLICT (executor_id) DO UPDATE
SET incarnation = excluded.incarnation, app_version = excluded.app_version, pid = excluded.pid,
    started_at = clock_timestamp(), lost_at = null;

-- name: beat
-- Whether somebody took over the runs of this executor, or bears its id; and a row for each other executor with runs
-- under way. That it was asked is the beat (app.last_beat). The others are found from one to the next, however many runs
-- each of them has.
WITH RECURSIVE holders (id) AS (
    SELECT min(executor_id) FROM dbos.workflow_status WHERE status = 'PENDING'
    UNION ALL
    SELECT (SELECT min(executor_id) FROM dbos.workflow_status WHERE status = 'PENDING' AND executor_id > h.id)
    FROM holders h WHERE h.id IS NOT NULL
), own (is_present) AS (
    SELECT EXISTS (SELECT FROM app.executor_registry
                   WHERE executor_id = %(executor_id)s AND incarnation = %(incarnation)s AND lost_at IS NULL)
)
SELECT is_present, id, extract(epoch FROM clock_timestamp() - app.last_beat(id))::float8 AS silent_s
FROM own LEFT JOIN holders ON id <> %(executor_id)s;

-- name: leave
DELETE FROM app.executor_registry WHERE executor_id = %(executor_id)s AND incarnation = %(incarnation)s;

-- name: declare_lost
-- An executor is lost when its lock is free, as it has been for a while, or when it has not been seen for long though its
-- session stands: it is frozen. Right after the server started nobody is lost: locks are still being retaken.
WITH free AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(%(class)s, hashtext(%(other)s)) AS is_free
), gone AS (
    SELECT FROM free
    WHERE clock_timestamp() - pg_postmaster_start_time() > make_interval(secs => %(settled_s)s)
      AND (is_free OR app.last_beat(%(other)s) < clock_timestamp() - make_interval(secs => %(frozen_s)s))
), marked AS (
    UPDATE app.executor_registry SET lost_at = clock_timestamp()
    WHERE executor_id = %(other)s AND EXISTS (SELECT FROM gone)
)
SELECT count(*) FROM gone;

-- name: cut_off
-- Nothing that a lost executor had begun may still be written: its sessions end before its runs go elsewhere.
SELECT count(pg_terminate_backend(pid, 1000)) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = %(session)s;

-- name: take_over
-- As the durable engine itself recovers: the row keeps its queue, priority and attempts, and goes back to its queue.
UPDATE dbos.workflow_status
SET status = 'ENQUEUED', owner_xid = null, started_at_epoch_ms = null, updated_at = app.millis(clock_timestamp()),
    queue_name = coalesce(queue_name, '_dbos_internal_queue')
WHERE status = 'PENDING' AND executor_id = %(other)s;
