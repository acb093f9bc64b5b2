from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege, ReadOnlySqlTransaction

from pytest_spec11.errors import NotProvable
from pytest_spec11.oracles.sql import Admin, Sql, SqlDoor
from pytest_spec11.waiting import eventually
from tests.plugin.oracles.conftest import Notes

Reached = Callable[[str], str]


@pytest.fixture
def door(database: Reached) -> Iterator[SqlDoor]:
    """Of a role that may do everything, so that what is refused is refused by the oracle."""
    made = SqlDoor("sql:app", database("postgres"))
    yield made
    made.close()


@pytest.fixture
def app(door: SqlDoor, notes: Notes) -> Sql:
    return Sql(door, "sql:app", notes)


def test_rows_are_read_and_on_record(app: Sql, notes: Notes) -> None:
    found = app.rows("SELECT what FROM orders WHERE id >= %(low)s ORDER BY id", low=1)
    assert found == [{"what": "tea"}, {"what": "milk"}]
    seen = notes.last
    assert (seen.source, seen.empty) == ("sql:app", False)
    assert seen.facts["rows"] == 2
    assert seen.facts["params"] == {"low": "1"}
    assert seen.body == b'[{"what": "tea"}, {"what": "milk"}]'
    assert seen.facts["databaseMs"] > 1_600_000_000_000


def test_no_rows_are_an_empty_reading(app: Sql, notes: Notes) -> None:
    assert app.rows("SELECT what FROM orders WHERE id = 9") == []
    assert notes.last.empty


def test_one_and_value_refuse_to_choose(app: Sql) -> None:
    assert app.value("SELECT count(*) FROM orders") == 2
    with pytest.raises(LookupError, match="2 rows instead of one"):
        app.one("SELECT * FROM orders")
    with pytest.raises(LookupError, match="0 rows instead of one"):
        app.value("SELECT id FROM orders WHERE id = 9")
    with pytest.raises(LookupError, match="2 columns instead of one"):
        app.value("SELECT * FROM orders WHERE id = 1")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO orders VALUES (3, 'rum')",
        "UPDATE orders SET what = what",
        "DELETE FROM orders",
        "CREATE TABLE app.more (id int)",
        "SELECT nextval('dbos.jobs_id_seq')",
        "TRUNCATE orders",
    ],
)
def test_the_server_refuses_every_write(statement: str, app: Sql, notes: Notes) -> None:
    with pytest.raises(ReadOnlySqlTransaction):
        app.rows(statement)
    assert notes.last.empty
    assert notes.last.facts["error"].startswith("ReadOnlySqlTransaction: ")
    assert app.value("SELECT count(*) FROM orders") == 2


@pytest.mark.parametrize(
    "trick",
    [
        "SET TRANSACTION READ WRITE",
        "SET transaction_read_only = off",
        "SET default_transaction_read_only = off",
        "COMMIT",
        "ROLLBACK",
        "COMMIT; SELECT 1",
        "COMMIT; INSERT INTO orders VALUES (3, 'rum')",
    ],
)
def test_no_statement_makes_it_a_writing_one(trick: str, app: Sql) -> None:
    with pytest.raises(psycopg.Error):
        app.rows(trick)
    with pytest.raises(ReadOnlySqlTransaction):
        app.rows("INSERT INTO orders VALUES (3, 'rum')")
    assert app.value("SELECT count(*) FROM orders") == 2


def test_a_mistake_does_not_spoil_the_next_reading(app: Sql) -> None:
    with pytest.raises(psycopg.ProgrammingError, match="SELEKT"):
        app.rows("SELEKT")
    assert app.value("SELECT 1") == 1


def test_a_cut_connection_is_raised_once_and_opened_again(
    app: Sql, database: Reached, notes: Notes
) -> None:
    own = app.value("SELECT pg_backend_pid()")
    Admin(database("postgres"), notes).execute(
        "SELECT pg_terminate_backend(%(pid)s, 5000)", pid=own
    )
    with pytest.raises(psycopg.OperationalError):
        app.value("SELECT 1")
    assert app.value("SELECT 1") == 1


def test_each_oracle_has_its_schema_and_the_read_only_role_suffices(
    database: Reached, notes: Notes
) -> None:
    for source, query, found in (
        ("sql:app", "SELECT max(what) FROM orders", "tea"),
        ("sql:sys", "SELECT max(what) FROM jobs", "brew"),
    ):
        door = SqlDoor(source, database("spec11_reader"))
        assert Sql(door, source, notes).value(query) == found
        door.close()


def test_a_target_without_a_dsn_cannot_be_read(notes: Notes) -> None:
    with pytest.raises(NotProvable, match="no DSN for sql:sys"):
        Sql(None, "sql:sys", notes).rows("SELECT 1")


def test_a_refused_connection_is_on_record_without_its_password(notes: Notes) -> None:
    door = SqlDoor("sql:app", "host=127.0.0.1 port=9 user=u password=opensesame connect_timeout=2")
    with pytest.raises(psycopg.OperationalError):
        Sql(door, "sql:app", notes).rows("SELECT 1")
    assert notes.last.empty
    assert "opensesame" not in repr(notes.last)


def test_the_admin_writes_and_each_statement_is_on_record(
    app: Sql, database: Reached, notes: Notes
) -> None:
    admin = Admin(database("postgres"), notes)
    admin.execute("INSERT INTO app.orders VALUES (%(id)s, 'rum')", id=3)
    assert notes.last.source == "provocation"
    assert notes.last.facts["affected"] == 1
    assert app.value("SELECT what FROM orders WHERE id = 3") == "rum"
    with admin.holding(7):
        assert app.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 1
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    eventually(lambda: app.value(locks) == 0, deadline_s=20)  # the session ends after its line
    with pytest.raises(InsufficientPrivilege):
        Admin(database("spec11_reader"), notes).execute("CREATE TABLE app.more (id int)")


def test_what_a_role_tries_is_answered_and_never_stays(
    app: Sql, database: Reached, notes: Notes
) -> None:
    admin = Admin(database("postgres"), notes)
    admin.execute("ALTER TABLE app.orders ADD CONSTRAINT orders_of_tea CHECK (id > 0)")

    assert admin.try_statement("spec11_reader", "UPDATE app.orders SET what = 'gin'") == 2
    assert (
        admin.try_statement("spec11_reader", "INSERT INTO app.orders VALUES (0)") == "orders_of_tea"
    )
    assert notes.last.facts["got"] == "orders_of_tea"
    assert notes.last.source == "provocation"
    assert app.value("SELECT count(*) FROM orders WHERE what = 'gin'") == 0
    with pytest.raises(InsufficientPrivilege):
        admin.try_statement("spec11_reader", "DROP TABLE app.orders")
