from __future__ import annotations

from typing import Any

import pytest

from engine.core.templates import Environment, environment


def test_who_asks_for_nothing_gets_what_is_plain() -> None:
    assert environment({"stepLibrary": {}}) == Environment("plain", frozenset())


def test_the_same_dependencies_are_the_same_in_any_order_and_others_are_not() -> None:
    def hash_dependencies(base: str, *dependencies: str) -> str:
        return environment({"sandbox": {"base": base, "dependencies": [*dependencies]}}).deps_hash

    assert hash_dependencies("python", "a", "b") == hash_dependencies("python", "b", "a", "a")
    assert (
        len(
            {
                hash_dependencies("python"),
                hash_dependencies("python", "a"),
                hash_dependencies("node", "a"),
            }
        )
        == 3
    )


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
