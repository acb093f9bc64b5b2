-- name: version
SELECT id, v, hash, status, json AS spec FROM app.recipe_versions WHERE id = %(id)s AND v = %(v)s;

-- name: versions
SELECT id, v, hash, status, json AS spec, created_at FROM app.recipe_versions WHERE id = %(id)s;

-- name: every_version
SELECT id, json ->> 'name' AS name, v, status, created_at FROM app.recipe_versions ORDER BY id;

-- name: keep_draft
-- What is there already stays; the caller looks whether it is the same.
WITH known AS (
    INSERT INTO app.recipes (id, name, queue_name) VALUES (%(id)s, %(name)s, %(queue)s)
    ON CONFLICT DO NOTHING
), fresh AS (
    INSERT INTO app.recipe_versions (id, v, hash, status, json)
    VALUES (%(id)s, %(v)s, %(hash)s, 'draft', %(spec)s::jsonb)
    ON CONFLICT DO NOTHING
    RETURNING id, v
)
INSERT INTO app.recipe_fixtures (recipe_id, v, fixture_id, json)
SELECT fresh.id, fresh.v, fixture ->> 'id', fixture
FROM fresh, jsonb_array_elements(%(spec)s::jsonb -> 'fixtures') AS fixture;

-- name: keep_recipe
INSERT INTO app.recipes (id, name, queue_name, active_v, created_at, updated_at)
VALUES (%(id)s, %(name)s, %(queue)s, %(v)s, %(at)s, %(at)s)
ON CONFLICT DO NOTHING;

-- name: keep_version
INSERT INTO app.recipe_versions (id, v, hash, status, json, created_at)
VALUES (%(id)s, %(v)s, %(hash)s, 'stable', %(spec)s::jsonb, %(at)s)
ON CONFLICT DO NOTHING;

-- name: keep_fixture
INSERT INTO app.recipe_fixtures (recipe_id, v, fixture_id, json, created_at)
VALUES (%(id)s, %(v)s, %(fixture_id)s, %(fixture)s::jsonb, %(at)s)
ON CONFLICT DO NOTHING;
