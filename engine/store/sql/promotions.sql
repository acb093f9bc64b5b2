-- name: hold
-- The version, held until the transaction ends: whoever wants to move it waits for us.
SELECT n.id, n.v, n.hash, n.status, n.json AS spec
FROM app.recipe_versions n
WHERE n.id = %(id)s AND n.v = %(v)s
FOR UPDATE;

-- name: active
SELECT active_v FROM app.recipes WHERE id = %(id)s;

-- name: nominate
UPDATE app.recipe_versions SET status = 'candidate' WHERE id = %(id)s AND v = %(v)s AND status = 'draft';

-- name: open
SELECT id FROM app.promotions WHERE recipe_id = %(id)s AND v = %(v)s AND state = 'running';

-- name: begin
-- The next promotion of the version, with the workflow that runs its fixtures.
WITH begun AS (
    INSERT INTO app.promotions (id, recipe_id, v, number)
    SELECT %(prefix)s || ':' || (count(*) + 1), %(id)s, %(v)s, count(*) + 1
    FROM app.promotions WHERE recipe_id = %(id)s AND v = %(v)s
    RETURNING id
)
SELECT id, dbos.enqueue_workflow(
    workflow_name => %(name)s, queue_name => 'controlQ', workflow_id => id,
    named_args => json_build_object('promotion_id', id, 'fixtures', %(fixtures)s::json),
    app_version => %(app_version)s, application_name => 'spec11') AS enqueued
FROM begun;

-- name: subject
SELECT n.id, n.v, n.hash, n.status, n.json AS spec
FROM app.promotions p
JOIN app.recipe_versions n ON (n.id, n.v) = (p.recipe_id, p.v)
WHERE p.id = %(promotion_id)s;

-- name: keep
-- The findings of one fixture in one round; where they are there already, an earlier try of the step kept its own.
INSERT INTO app.eval_results (promotion_id, round, fixture_id, check_id, pass, reason, payload, intent_hash)
SELECT %(promotion_id)s, %(round)s, %(fixture_id)s, f.check_id, f.pass, f.reason, f.payload, %(intent_hash)s
FROM jsonb_to_recordset(%(findings)s::jsonb) AS f (check_id text, pass boolean, reason text, payload jsonb)
WHERE NOT EXISTS (SELECT FROM app.eval_results e
                  WHERE e.promotion_id = %(promotion_id)s AND e.round = %(round)s AND e.fixture_id = %(fixture_id)s)
ON CONFLICT DO NOTHING;

-- name: results
SELECT round, fixture_id, check_id, pass AS passed, reason FROM app.eval_results
WHERE promotion_id = %(promotion_id)s
ORDER BY fixture_id, check_id, round;

-- name: end
UPDATE app.promotions
SET state = %(state)s, outcome_hashes = %(hashes)s, ended_at = clock_timestamp()
WHERE id = %(promotion_id)s AND state = 'running';

-- name: crown
-- Stable, and what new work pins: one statement, so one transaction.
WITH stable AS (
    UPDATE app.recipe_versions SET status = 'stable' WHERE id = %(id)s AND v = %(v)s AND status = 'candidate'
    RETURNING id, v, json
)
UPDATE app.recipes r
SET active_v = stable.v, name = stable.json ->> 'name', queue_name = stable.json ->> 'queue', updated_at = clock_timestamp()
FROM stable
WHERE r.id = stable.id;

-- name: one
SELECT p.state, p.outcome_hashes, n.id, n.v, n.hash, n.status, r.active_v
FROM app.promotions p
JOIN app.recipe_versions n ON (n.id, n.v) = (p.recipe_id, p.v)
JOIN app.recipes r ON r.id = n.id
WHERE p.id = %(promotion_id)s;
