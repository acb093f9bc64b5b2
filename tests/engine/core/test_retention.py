"""Rules of retention: what an age is, what keeps something, and which words a text holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.retention import (
    LONGEST,
    Kept,
    Subject,
    can_be_found,
    find_words,
    list_arguments,
    read_age,
    read_batch,
)

WID, RUN = f"ih_{'a1' * 32}", f"run_{'b2' * 16}"
FORK = "fork_0b0e5f5c-9a55-4f0f-8d3c-0123456789ab"


def words(*chunks: bytes) -> set[str]:
    return {word for each in find_words(chunks) for word in each}


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("24h", timedelta(days=1)), ("36h", timedelta(hours=36)), ("1d", timedelta(days=1)),
        ("30d", timedelta(days=30)), ("8w", timedelta(days=56)), ("36500d", timedelta(36500)),
    ],
)  # fmt: skip
def test_an_age_is_a_number_with_a_unit(text: str, age: timedelta) -> None:
    assert read_age(text) == age


@pytest.mark.parametrize(
    "text",
    ["", "30", "d", "30 d", "30D", "1.5d", "-30d", "+30d", "30m", "30d ", "٣d", "23h", "0w",
     "36501d", "9999999d", "30d30d"],
)  # fmt: skip
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no age|is not within"):
        read_age(text)


@pytest.mark.parametrize("text", ["", "0", "-1", "5001", "1e3", "1.0", " 1", "٣", "9" * 5000])
def test_a_batch_has_bounds(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number"):
        read_batch(text)
    assert [read_batch(each) for each in ("1", "5000")] == [1, 5000]


FREE: Mapping[str, Any] = {"id": RUN, "members": frozenset({WID}), "is_free": True}


@pytest.mark.parametrize(
    ("more", "named", "why"),
    [
        ({}, False, None),
        ({}, True, Kept.EVIDENCE),
        ({"is_free": False}, False, Kept.BUSY),
        ({"is_restoring": True}, False, Kept.RESTORING),
        ({"is_owned": True}, False, Kept.OWNED),
        ({"forks": frozenset({"run_f"})}, False, Kept.FORK),
        ({"forks": frozenset({"gone"})}, False, None),
        ({"forks": frozenset({"gone", "run_f"})}, False, Kept.FORK),
    ],
)
def test_one_reason_is_enough_to_stay(
    more: Mapping[str, Any], *, named: bool, why: Kept | None
) -> None:
    subject = Subject(**{**FREE, **more})

    assert subject.why_kept({"gone"}, is_named=named) is why


@pytest.mark.parametrize("name", [WID, RUN, FORK, "c" * 64])
@pytest.mark.parametrize(
    "around", ["%s", "app.runs:%s", "rep:%s:1", "/api/runs/%s/steps", "x%sx", '{\\"w\\":\\"%s\\"}']
)
def test_an_id_is_found_wherever_it_stands(name: str, around: str) -> None:
    assert name in words((around % name).encode())


@pytest.mark.parametrize("name", ["crash-1", "pro:abc:1", "a.b", "sched-ticks-2026-01-01T00:00"])
@pytest.mark.parametrize(
    "around", ['"%s"', "\\n%s\\t", "app:%s", "wf=%s&x", "/%s/", "It was %s.", '\\"%s\\"']
)
def test_a_name_is_found_between_other_signs(name: str, around: str) -> None:
    assert can_be_found(name)
    assert name in words((around % name).encode())


@pytest.mark.parametrize("name", ["", "a b", "a/b", "é", ".a", "a:", "x" * LONGEST])
def test_a_name_that_cannot_be_found_is_known(name: str) -> None:
    assert not can_be_found(name)


@given(st.lists(st.integers(0, 5000), max_size=5), st.integers(0, 5000))
def test_where_a_text_is_cut_does_not_matter(cuts: list[int], at: int) -> None:
    text = b"y" * at + b'"' + f"crash-1 {WID}".encode() + b'\\ncrash-2"' + b"z" * (5000 - at)
    places = [0, *sorted(cuts), len(text)]

    found = words(*(text[a:b] for a, b in pairwise(places)))

    assert {"crash-1", "crash-2", WID} <= found


def test_arguments_are_texts_at_any_depth() -> None:
    given = {"positionalArgs": ["a", 1, None, ["b"]], "namedArgs": {"run_id": RUN, "n": 2.5}}

    assert list_arguments(given) == {"a", "b", RUN}
    assert list_arguments(None) == set()
