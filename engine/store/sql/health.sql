-- name: server
SELECT current_setting('server_version') AS version;

-- name: app_schema
SELECT max(version) AS version FROM app.schema_migrations;

-- name: dbos_schema
SELECT max(version) AS version FROM dbos.dbos_migrations;

-- name: workers
-- Live by the database's clock: a worker beats several times in five seconds.
SELECT executor_id, app_version, seen_at
FROM app.executors
WHERE seen_at > clock_timestamp() - interval '5 seconds'
ORDER BY executor_id;
