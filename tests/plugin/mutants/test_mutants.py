"""Mutants as values: each looks like what it was made of, and none touches what nobody foresees."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_spec11.mutants.candidates import Reading, list_mutants, make_reading
from pytest_spec11.mutants.mutant import Mutant, find_shape
from pytest_spec11.mutants.operators import NotThere, apply, change, change_all
from pytest_spec11.mutants.orders import Orders

SCALARS = st.one_of(
    st.booleans(), st.integers(), st.floats(-1e6, 1e6, width=32),
    st.text(), st.binary(min_size=1), st.dates(max_value=date(9000, 1, 1)),
    st.datetimes(max_value=datetime(9000, 1, 1)), st.uuids(),  # noqa: DTZ001  # as a column gives it
)  # fmt: skip
TREES = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.text()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
ROWS = [{"id": 7, "what": "tea", "at": datetime(2026, 1, 2, tzinfo=UTC), "gone": None}]


@given(SCALARS)
def test_a_changed_value_is_another_one_of_the_same_type(value: Any) -> None:
    assert type(change(value)) is type(value)
    assert change(value) != value


@given(TREES)
def test_all_values_of_a_tree_change_and_its_shape_stays(tree: Any) -> None:
    def outline(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: outline(each) for key, each in value.items()}
        return [outline(each) for each in value] if isinstance(value, list) else type(value)

    def leaves(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [leaf for each in value.values() for leaf in leaves(each)]
        return (
            [leaf for each in value for leaf in leaves(each)]
            if isinstance(value, list)
            else [value]
        )

    changed = change_all(tree)
    assert outline(changed) == outline(tree)
    assert all(a != b for a, b in zip(leaves(tree), leaves(changed), strict=True))


@pytest.mark.parametrize(
    ("value", "changed"),
    [
        ("done", "donf"),
        ("2026-01-02T03:04:59Z", "2026-01-02T03:04:58Z"),
        ("", "x"),
        ('{"a": 1}', '{"a": 2}'),
        (b"5\n", b"6\n"),
        (Decimal("1.5"), Decimal("2.5")),
        (UUID(int=8), UUID(int=9)),
        (True, False),
    ],
)
def test_a_value_becomes_its_neighbour(value: Any, changed: Any) -> None:
    assert change(value) == changed


@pytest.mark.parametrize(
    ("path", "operator", "made"),
    [
        (("body", "$", "rows"), "emptied", {"rows": []}),
        (("body", "$", "rows"), "doubled", {"rows": [{"n": 1}, {"n": 1}]}),
        (("body", "$", "rows", 0, "n"), "changed", {"rows": [{"n": 2}]}),
        (("body", "$", "rows", 0, "n"), "dropped", {"rows": [{}]}),
        (("body", "$"), "null", None),
    ],
)
def test_a_mutant_changes_the_json_inside_a_body(
    path: tuple[str | int, ...], operator: str, made: Any
) -> None:
    reading = {"status": 200, "headers": {}, "body": b'{"rows": [{"n": 1}]}'}

    changed = apply(reading, path, operator)

    assert json.loads(changed["body"]) == made
    assert reading["body"] == b'{"rows": [{"n": 1}]}'


@pytest.mark.parametrize("path", [("body", "$", "rows", 3), ("body", "$", "none"), ("none",)])
def test_a_path_that_leads_nowhere_changes_nothing(path: tuple[str | int, ...]) -> None:
    with pytest.raises(NotThere):
        apply({"status": 200, "body": b'{"rows": []}'}, path, "changed")


def reply(body: Any, **headers: str) -> Reading:
    content = json.dumps(body).encode()
    value = {"status": 200, "headers": headers, "body": content}
    return Reading("api", "GET /orders/12", sha256(content).hexdigest(), lambda: value)


def fields(mutants: list[Mutant]) -> set[tuple[str, str]]:
    return {(each.field, each.operator) for each in mutants}


def test_every_field_of_a_reply_has_mutants() -> None:
    found = fields(list_mutants([reply({"rows": [{"n": 1, "s": "a"}]}, kind="x")], "0")["api"])

    for wanted in (
        ("status", "set"), ("the whole reply", "everything"), ("$.rows", "emptied"),
        ("$.rows", "doubled"), ("$.rows[*].n", "changed"), ("$.rows[*].n", "one less"),
        ("$.rows[*].s", "emptied"), ("$.rows[*].s", "dropped"), ("header kind", "changed"),
        ("$", "emptied"),
    ):  # fmt: skip
        assert wanted in found


def test_what_nobody_foresees_is_not_changed_alone() -> None:
    fresh = {
        "id": "0f8fad5b-d9cb-469f-a165-70867728950e",
        "at": "2026-01-02T03:04:05Z",
        "ms": 1_796_098_225_889,
        "run": "ih_01J9ZC3D5E7G",
    }
    mutants = list_mutants([reply(fresh, date="Tue, 01 Dec 2026", server="x")], "0")["api"]

    changed = {
        each.field for each in mutants if each.operator in {"changed", "one less", "emptied"}
    }
    assert changed == {"$"}  # the body as a whole, which is not one of its fields


def test_a_mutant_that_only_takes_the_type_away_proves_nothing_and_comes_last() -> None:
    mutants = list_mutants([reply([{"n": 1}])], "0")["api"]
    proving = [each.proves for each in mutants]

    assert proving == sorted(proving, reverse=True)
    assert {each.operator for each in mutants if not each.proves} == {"null", "emptied"}


def test_equal_readings_are_compared_so_only_one_of_them_is_changed_first() -> None:
    same, other = reply({"n": 1}), reply({"n": 2})

    assert list_mutants([same, same], "0")["api"][0].nth == 1
    assert list_mutants([same, other], "0")["api"][0].nth is None
    assert ("the body of an earlier reply", "stale") in fields(
        list_mutants([same, other], "0")["api"]
    )


def test_rows_are_removed_doubled_and_changed_by_column() -> None:
    blob = json.dumps(ROWS, default=str).encode()
    said = {
        "source": "sql:app",
        "ref": "SELECT 1",
        "empty": False,
        "size": 9,
        "digest": "d",
        "facts": {},
    }
    reading = make_reading(said, lambda: blob)
    assert reading is not None

    mutants = list_mutants([reading], "0")["sql:app"]

    assert {
        ("$", "emptied"),
        ("$", "doubled"),
        ("$[*].what", "changed"),
        ("$[*].gone", "changed"),
    } <= fields(mutants)
    (column,) = [m for m in mutants if (m.field, m.operator) == ("$[*].what", "changed")]
    assert apply(ROWS, column.path, column.operator)[0] == ROWS[0] | {"what": "teb"}
    (whole,) = [m for m in mutants if m.operator == "all changed" and m.path == ()]
    assert all(new != ROWS[0][key] for key, new in apply(ROWS, (), whole.operator)[0].items())


def test_a_sample_is_of_what_was_read_last_and_an_exhaustive_list_has_all() -> None:
    readings = [
        Reading("api", f"GET /{name}", name, lambda: {"status": 200, "headers": {}, "body": b"{}"})
        for name in "abcdefghijkl"
    ]

    sample, whole = (
        {each.shape for each in list_mutants(readings, "0", exhaustive=exhaustive)["api"]}
        for exhaustive in (False, True)
    )

    assert sample == {f"GET /{name}" for name in "efghijkl"}
    assert whole == {f"GET /{name}" for name in "abcdefghijkl"}


def test_the_order_is_the_seeds() -> None:
    readings = [reply(dict.fromkeys("abcdefgh", 1))]
    first, again, other = (list_mutants(readings, seed)["api"] for seed in ("1", "1", "2"))
    assert first == again != other
    assert set(first) == set(other)


@pytest.mark.parametrize(
    ("ref", "shape"),
    [
        ("GET /api/runs/ih_01J9?limit=5", "GET /api/runs/*?limit=*"),
        ("run ['python', '-c', 'print(5)']", "run ['python', '-c', 'print(*)']"),
        ("api.alive", "api.alive"),
    ],
)
def test_a_shape_leaves_out_what_each_run_makes_anew(ref: str, shape: str) -> None:
    assert find_shape(ref) == shape


def test_orders_are_read_as_they_were_written() -> None:
    (mutant, *_) = list_mutants([reply({"n": 1})], "0")["api"]
    orders = Orders(out="/x", mutants={"a": mutant}, nodes=frozenset({"a"}), wait_s={"a": 2.0})
    assert Orders.loads(orders.dumps()) == orders
