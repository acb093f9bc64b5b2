from __future__ import annotations

from typing import Any

import pytest

from engine.core.templates import Environment, environment


def test_who_asks_for_nothing_gets_what_is_plain() -> None:
    assert environment({"stepLibrary": {}}) == Environment("plain", frozenset())


def test_the_same_dependencies_are_the_same_in_any_order_and_others_are_not() -> None:
    def hashed(base: str, *dependencies: str) -> str:
        return environment({"sandbox": {"base": base, "dependencies": [*dependencies]}}).deps_hash

    assert hashed("python", "a", "b") == hashed("python", "b", "a", "a")
    assert len({hashed("python"), hashed("python", "a"), hashed("node", "a")}) == 3


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("python", "must be {base"),
        ({"bogus": 1}, "must be {base"),
        ({"dependencies": "a"}, "at most 200 texts"),
        ({"dependencies": ["a"] * 201}, "at most 200 texts"),
        ({"dependencies": [1]}, "1..256 characters"),
        ({"dependencies": [" "]}, "1..256 characters"),
        ({"base": None}, "1..256 characters"),
        ({"base": "x" * 257}, "1..256 characters"),
    ],
)
def test_a_wish_that_nobody_understands_is_refused(given: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        environment({"sandbox": given})
