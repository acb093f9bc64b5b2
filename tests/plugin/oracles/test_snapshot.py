from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pytest_spec11.oracles.snapshot import assert_unchanged, control, take
from pytest_spec11.oracles.sql import Admin, Sql, SqlDoor
from tests.plugin.oracles.conftest import Notes

Reached = Callable[[str], str]


@pytest.fixture
def both(database: Reached, notes: Notes) -> Iterator[tuple[Sql, Sql]]:
    doors = [SqlDoor(source, database("spec11_reader")) for source in ("sql:app", "sql:sys")]
    yield Sql(doors[0], "sql:app", notes), Sql(doors[1], "sql:sys", notes)
    for door in doors:
        door.close()


@pytest.fixture
def admin(database: Reached, notes: Notes) -> Admin:
    return Admin(database("postgres"), notes)


def test_nothing_written_is_no_change(both: tuple[Sql, Sql], notes: Notes) -> None:
    with assert_unchanged(*both):
        both[0].rows("SELECT 1")
    assert take(both[0]) == take(both[0])
    assert take(both[0]).rows == 2
    assert set(take(both[1]).tables) == {"dbos.jobs"}
    assert notes.last.facts["rows"] == 1


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE app.orders SET what = what", "app.orders: rows were rewritten, still 2"),
        ("INSERT INTO app.orders VALUES (3, 'rum')", "app.orders: 2 rows became 3"),
        ("DELETE FROM dbos.jobs", "dbos.jobs: 1 rows became 0"),
        ("CREATE TABLE app.more (id int)", "app.more: appeared"),
        ("DROP TABLE app.beats", "app.beats: vanished"),
    ],
)
def test_every_write_is_seen(
    statement: str, said: str, both: tuple[Sql, Sql], admin: Admin
) -> None:
    if said.endswith("appeared"):
        admin.execute("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO spec11_reader")
    with (
        pytest.raises(AssertionError, match="tables were written") as caught,
        assert_unchanged(*both),
    ):
        admin.execute(statement)
    assert said in str(caught.value)


def test_what_changes_by_itself_makes_the_comparison_void(
    both: tuple[Sql, Sql], admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = both[0].door
    plain = door.reading

    def restless(reads: str) -> object:
        admin.execute("INSERT INTO app.beats VALUES (1)")
        return plain(reads)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(door, "reading", restless)
    said = "void: tables change by themselves"
    with pytest.raises(AssertionError, match=said), assert_unchanged(*both):
        pytest.fail("the block ran though the control failed")
    assert control(both[0]) != []
    assert control(both[0], but={"app.beats": "a heartbeat"}) == []


def test_what_is_left_out_is_on_record_with_its_reason(
    both: tuple[Sql, Sql], admin: Admin, notes: Notes
) -> None:
    with assert_unchanged(*both, but={"app.beats": "a heartbeat"}):
        admin.execute("INSERT INTO app.beats VALUES (1)")
    assert notes.last.facts["params"] == {"but": "{'app.beats': 'a heartbeat'}"}


def test_a_sequence_is_kept_and_not_compared(both: tuple[Sql, Sql], admin: Admin) -> None:
    before = take(both[1])
    admin.execute("SELECT nextval('dbos.jobs_id_seq')")
    after = take(both[1])
    assert before == after
    assert before.sequences != after.sequences
