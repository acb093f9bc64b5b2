-- name: standing
-- How the attempt ended, if it did; what it has to keep to, what it needs, and what there is for its recipe version.
SELECT s.response, r.budget, r.recipe_id, r.recipe_v, i.json -> 'constraints' AS constraints,
       (SELECT coalesce(jsonb_object_agg(t.template_key, t.template_id), '{}')
        FROM app.sbx_templates t
        WHERE t.recipe_id = r.recipe_id AND t.recipe_v = r.recipe_v) AS templates
FROM app.runs r
JOIN app.intents i ON i.id = r.intent_id
LEFT JOIN app.sbx_runs s ON s.run_id = r.id AND s.step_id = 'ExecuteST' AND s.task_key = %(task_key)s
                        AND s.attempt = %(attempt)s
WHERE r.id = %(run_id)s;

-- name: keep
-- One attempt of one task with its artifacts, once; where it is there already, an earlier try kept its own.
WITH kept AS (
    INSERT INTO app.sbx_runs (run_id, step_id, task_key, attempt, provider, request, response, err_code, metrics)
    SELECT %(run_id)s, 'ExecuteST', %(task_key)s, %(attempt)s, %(provider)s, %(request)s::jsonb, %(response)s::jsonb,
           %(err_code)s, %(metrics)s::jsonb
    WHERE NOT EXISTS (SELECT FROM app.sbx_runs
                      WHERE run_id = %(run_id)s AND step_id = 'ExecuteST' AND task_key = %(task_key)s
                        AND attempt = %(attempt)s)
    ON CONFLICT DO NOTHING
    RETURNING run_id
), artifacts AS (
    INSERT INTO app.artifacts (run_id, step_id, task_key, idx, attempt, kind, uri, inline, sha256)
    SELECT kept.run_id, 'ExecuteST', %(task_key)s, a.idx, %(attempt)s, a.kind, a.uri, a.inline, a.sha256
    FROM kept, jsonb_to_recordset(%(artifacts)s::jsonb) AS a (idx integer, kind text, uri text, inline jsonb, sha256 text)
)
SELECT run_id FROM kept;
