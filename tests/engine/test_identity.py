from __future__ import annotations

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from engine.core import identity
from engine.core.canon import canonical, digest, reread
from engine.core.recipes import instantiate, with_defaults
from engine.usecases.seed import pack
from pytest_spec11 import canon

FORM = {"goal": "spec11 tutorial", "tenant": "acme"}


def test_the_courses_form_has_the_identity_that_the_course_prints() -> None:
    recipe = pack()[0]
    intent = instantiate(recipe, with_defaults(recipe.form_schema, FORM))

    hashed = identity.intent_hash(intent)
    run = identity.run_id(identity.workflow_id(hashed))

    assert hashed == "a30ab70989358cd5dcff0c2d5c98db9a86a6258cb8de107f7a8a738a99dac539"
    assert run == "run_53356a23f0560fb9a31d64987afacf82"
    gate = identity.gate_key(run, "ApplyPatchST", "approve-plan")
    assert gate == "approve-plan-eedf15bc7d9edb8b"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (1e21, "1e+21"),
        (1e-7, "1e-7"),
        (-0.0, "0"),
        ({"b": 1, "B": 2, "_": 3, "1": 4}, '{"1":4,"B":2,"_":3,"b":1}'),
    ],
)
def test_both_implementations_print_the_same_bytes(value: object, text: str) -> None:
    assert canonical(value).decode() == text  # type: ignore[arg-type]  # JSON, as the table shows
    assert canon.canonical(value).decode() == text


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
