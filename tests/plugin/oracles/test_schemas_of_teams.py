"""The tables of a team may be in any schema: oracles find them, and the SQL twin counts there."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from pytest_spec11.oracles.sql import Sql, SqlDoor
from pytest_spec11.saboteurs.sql import SqlSaboteur
from pytest_spec11.saboteurs.twins import twins
from tests.plugin.oracles.conftest import Notes

Reached = Callable[[str], str]


@pytest.mark.parametrize("schema", ["public", "shop", "Odd name"])
def test_the_twin_counts_rows_in_every_schema(database: Reached, schema: str) -> None:
    dsn = database("postgres")
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'.encode())
        admin.execute(f'CREATE TABLE "{schema}".things (id int)'.encode())
        (twin,) = [each for each in twins() if isinstance(each, SqlSaboteur)]
        twin.plant_in_database(dsn)
        admin.execute(
            sql.SQL("INSERT INTO {}.things VALUES (1), (2)").format(sql.Identifier(schema))
        )
    assert twin.count_hits() == 2


def test_a_fault_that_needs_a_schema_waits_for_it(database: Reached) -> None:
    dsn = database("postgres")
    for needs, hits in (("nowhere", 0), ("", 1)):
        fault = SqlSaboteur("sql.probe", "counts once", "SELECT {hit}", needs=needs)
        fault.plant_in_database(dsn)
        assert fault.count_hits() == hits


def test_a_table_of_schema_public_is_found_by_its_plain_name(
    database: Reached, notes: Notes
) -> None:
    dsn = database("postgres")
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("CREATE TABLE public.parcels (id int)")
        admin.execute("INSERT INTO public.parcels VALUES (7)")
    door = SqlDoor("sql:app", dsn)
    assert Sql(door, "sql:app", notes).value("SELECT id FROM parcels") == 7
    door.close()
