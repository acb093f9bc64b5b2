-- name: select
-- What was selected stands; an attempt that begins again after a crash begins now.
INSERT INTO app.sbx_selections (run_id, task_key, attempt, template_key, recipe_id, recipe_v, deps_hash, template_id)
VALUES (%(run_id)s, %(task_key)s, %(attempt)s, %(template_key)s, %(recipe_id)s, %(recipe_v)s, %(deps_hash)s, %(template_id)s)
ON CONFLICT (run_id, task_key, attempt) DO UPDATE SET selected_at = clock_timestamp();

-- name: register
INSERT INTO app.sbx_templates (recipe_id, recipe_v, deps_hash, template_key, template_id, environment)
VALUES (%(recipe_id)s, %(recipe_v)s, %(deps_hash)s, %(template_key)s, %(template_id)s, %(environment)s::jsonb)
ON CONFLICT DO NOTHING;

-- name: listed
SELECT recipe_id, recipe_v, deps_hash, template_key, template_id, environment FROM app.sbx_templates ORDER BY template_key;
