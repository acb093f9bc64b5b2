-- name: lock
-- One process at a time changes the files of a run; the lock goes when its session goes, however it goes.
SELECT pg_advisory_lock(%(class)s, hashtext(%(run_id)s));

-- name: unlock
SELECT pg_advisory_unlock(%(class)s, hashtext(%(run_id)s));

-- name: require_alone
-- A session that answers holds its locks.
SELECT;

-- name: are_any
SELECT EXISTS (SELECT FROM app.patch_history WHERE run_id = %(run_id)s) AS found;

-- name: of_run
SELECT run_id, step_id, patch_index, attempt, execution_id, target_path, preimage_hash, postimage_hash, diff_hash, dirs_made,
       applied_at, rolled_back_at, rolled_back_for, created_at
FROM app.patch_history
WHERE run_id = %(run_id)s AND (%(step_id)s::text IS NULL OR step_id = %(step_id)s)
ORDER BY attempt, patch_index;

-- name: preimage
SELECT preimage_content FROM app.patch_history
WHERE run_id = %(run_id)s AND step_id = %(step_id)s AND patch_index = %(patch_index)s AND attempt = %(attempt)s;

-- name: postimage
SELECT postimage_content FROM app.patch_history
WHERE run_id = %(run_id)s AND step_id = %(step_id)s AND patch_index = %(patch_index)s AND attempt = %(attempt)s;

-- name: owns
SELECT EXISTS (SELECT FROM app.runs
               WHERE execution_id = %(execution_id)s
                 AND status NOT IN ('succeeded', 'failed', 'retries_exceeded', 'canceled')) AS found;

-- name: is_canceled
SELECT EXISTS (SELECT FROM app.runs WHERE id = %(run_id)s AND status = 'canceled') AS found;

-- name: begin
-- The row before the file. It takes turns with whoever moves the run: a cancellation finds the row, or prevents it.
WITH owned AS (
    SELECT id FROM app.runs
    WHERE execution_id = %(execution_id)s
      AND status NOT IN ('succeeded', 'failed', 'retries_exceeded', 'canceled')
    FOR SHARE
)
INSERT INTO app.patch_history (run_id, step_id, patch_index, attempt, execution_id, target_path, preimage_hash,
                               postimage_hash, diff_hash, preimage_content, postimage_content, dirs_made)
SELECT id, %(step_id)s, %(patch_index)s, %(attempt)s, %(execution_id)s, %(target_path)s, %(preimage_hash)s::text,
       %(postimage_hash)s, %(diff_hash)s, %(preimage_content)s::bytea, %(postimage_content)s, %(dirs_made)s
FROM owned
RETURNING run_id, step_id, patch_index, attempt, execution_id, target_path, preimage_hash, postimage_hash, diff_hash, dirs_made,
          applied_at, rolled_back_at, rolled_back_for, created_at;

-- name: mark_applied
UPDATE app.patch_history SET applied_at = greatest(clock_timestamp(), created_at)
WHERE run_id = %(run_id)s AND step_id = %(step_id)s AND patch_index = %(patch_index)s AND attempt = %(attempt)s
  AND applied_at IS NULL;

-- name: give_up
-- Before the first file is taken back: whoever goes on with the run, or repeats this, sees that it was begun.
UPDATE app.patch_history SET rolled_back_for = %(why)s WHERE run_id = %(run_id)s AND rolled_back_for IS NULL;

-- name: mark_rolled_back
UPDATE app.patch_history SET rolled_back_at = greatest(clock_timestamp(), applied_at)
WHERE run_id = %(run_id)s AND step_id = %(step_id)s AND patch_index = %(patch_index)s AND attempt = %(attempt)s
  AND rolled_back_at IS NULL;

-- name: say
-- A canceled run that could not take back what it wrote says so.
UPDATE app.runs SET error = %(error)s, updated_at = clock_timestamp() WHERE id = %(run_id)s AND status = 'canceled';
