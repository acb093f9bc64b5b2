from __future__ import annotations

from typing import Any

import pytest

from engine.core import recipes
from engine.core.recipes import Recipe
from engine.errors import Malformed

INTENT = {"goal": "{{formData.goal}}", "inputs": {}, "constraints": {}}
EIGHT = ["Collect", "Fetch", "Extract", "Normalize", "Decide", "Act", "Report", "Legacy"]


def recipe(**template: object) -> Recipe:
    return Recipe("r", "v1", "0" * 64, "stable", {"intentTmpl": INTENT | template})


@pytest.mark.parametrize(
    ("template", "form", "value"),
    [
        ("{{formData.n}}", {"n": 1.0}, 1.0),
        ("{{ formData.n }}", {"n": [1, None]}, [1, None]),
        ("n={{formData.n}}", {"n": 1.0}, "n=1"),
        ("{{formData.n}}/{{formData.n}}", {"n": True}, "true/true"),
        ("{{formData.a.b}}", {"a": {"b": "x"}}, "x"),
        ("as {{it is", {}, "as {{it is"),
        ({"k": ["{{formData.n}}", 7]}, {"n": "x"}, {"k": ["x", 7]}),
    ],
)
def test_a_template_keeps_the_type_of_a_value_that_stands_alone(
    template: object, form: dict[str, Any], value: object
) -> None:
    intent = recipes.instantiate(recipe(inputs={"v": template}), {"goal": "g", **form})

    assert intent["inputs"] == {"v": value}


def test_a_missing_key_is_refused_by_its_path() -> None:
    with pytest.raises(Malformed, match=r"^missing template key: formData\.goal$") as refused:
        recipes.instantiate(recipe(), {})

    assert refused.value.facts["details"] == [
        {"pointer": "/formData/goal", "message": "the recipe needs it"}
    ]


@pytest.mark.parametrize(
    "broken",
    [
        {"goal": ""},
        {"goal": 1},
        {"inputs": []},
        {"constraints": None},
        {"more": 1},
        {"connectors": [1]},
    ],
)
def test_what_renders_to_no_intent_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(Malformed, match="invalid Intent"):
        recipes.instantiate(recipe(**broken), {"goal": "g"})


@pytest.mark.parametrize(
    ("library", "primitives"),
    [(None, EIGHT), ("x", EIGHT), ({"primitives": ["Act", "Fetch"], "x": 1}, ["Act", "Fetch"])],
)
def test_the_step_library_is_normalised(library: object, primitives: list[str]) -> None:
    intent = recipes.instantiate(recipe(constraints={"stepLibrary": library}), {"goal": "g"})

    assert intent["constraints"] == {"stepLibrary": {"primitives": primitives}}


@pytest.mark.parametrize("primitives", [[], ["Fly"], "Act", None, [1]])
def test_a_step_library_outside_the_eight_is_refused(primitives: object) -> None:
    with pytest.raises(Malformed, match="non-empty canonical list"):
        recipes.instantiate(
            recipe(constraints={"stepLibrary": {"primitives": primitives}}), {"goal": "g"}
        )


def test_versions_sort_as_people_count() -> None:
    versions = ["v10", "v2", "1", "v1", "10", "2", "v2-rc1", "v2.1"]

    ordered = sorted(versions, key=recipes.natural)

    assert ordered == ["1", "2", "10", "v1", "v2", "v2-rc1", "v2.1", "v10"]


def test_a_default_fills_only_what_is_absent() -> None:
    schema = {"properties": {"a": {"default": 1}, "b": {"default": 2}, "c": {}, "d": True}}

    assert recipes.with_defaults(schema, {"a": None}) == {"a": None, "b": 2}


@pytest.mark.parametrize("size", [2, 50])
def test_what_a_template_would_become_is_bounded_before_it_is_made(size: int) -> None:
    many = ["{{formData.n}} and {{formData.n}}"] * size
    large = recipe(inputs={"v": many})
    form = {"goal": "g", "n": "x" * (1024 * 1024 // 100)}

    if size == 50:
        with pytest.raises(Malformed, match=r"^invalid Intent: larger than 1048576 bytes$"):
            recipes.instantiate(large, form)
    else:
        assert len(recipes.instantiate(large, form)["inputs"]["v"]) == size  # type: ignore[index,call-overload,arg-type]  # our own template
