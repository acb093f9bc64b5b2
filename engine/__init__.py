"""The reference engine: an api-shim and workers on DBOS and one Postgres database."""
