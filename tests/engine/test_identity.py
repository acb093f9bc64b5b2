from __future__ import annotations

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from engine.core.canon import canonical, digest, reread
from engine.core.recipes import instantiate, with_defaults
from engine.usecases.seed import pack


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_is_printed_as_ecmascript_prints_it(value: float) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    ("kept", "text"),
    [
        ("1000000000000000000000", "1e+21"),
        ("100000000000000000000", "100000000000000000000"),
        ("-9007199254740993", "-9007199254740992"),
        ("9007199254740991", "9007199254740991"),
        ('{"a": [0.0000001, 1.0]}', '{"a":[1e-7,1]}'),
    ],
)
def test_a_number_that_the_database_prints_in_full_is_still_a_double(kept: str, text: str) -> None:
    assert canonical(reread(kept.encode())).decode() == text


def test_every_seeded_fixture_makes_an_intent() -> None:
    made = [
        digest(instantiate(recipe, with_defaults(recipe.form_schema, fixture["formData"])))
        for recipe in pack()
        for fixture in recipe.spec["fixtures"]
    ]

    assert len(made) == len(set(made)) == 16
