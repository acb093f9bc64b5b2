"""The benign twin of each family: the same machinery, no fault; it must kill nothing."""

from __future__ import annotations

from pytest_spec11.saboteurs.files import FileTwin
from pytest_spec11.saboteurs.http import HttpTwin
from pytest_spec11.saboteurs.proc import ProcTwin
from pytest_spec11.saboteurs.saboteur import Saboteur
from pytest_spec11.saboteurs.sql import SqlSaboteur

# A trigger on each table of every schema of the target; it counts and changes nothing.
_WATCH = """
CREATE FUNCTION saboteur.watch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
$$ BEGIN PERFORM {hit}; RETURN NULL; END $$;
DO $$ DECLARE t regclass; BEGIN
    FOR t IN SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_|^information_schema$|^saboteur$' LOOP
        EXECUTE format('CREATE TRIGGER watch AFTER INSERT ON %s FOR EACH ROW EXECUTE FUNCTION saboteur.watch()', t);
    END LOOP;
END $$;
"""  # noqa: E501  # statements of another language


def twins() -> tuple[Saboteur, ...]:
    """One of each family."""
    return (
        HttpTwin("http.none", "hands every request and reply on"),
        SqlSaboteur("sql.none", "counts every row that is inserted", _WATCH),
        ProcTwin("proc.none", "starts every process as it was described"),
        FileTwin("file.none", "opens every file before it is read"),
    )
