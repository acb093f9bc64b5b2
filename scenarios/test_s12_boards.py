"""S12: recipes come and go by their page, and a start form is made from a recipe's own schema."""

from __future__ import annotations

import json

import pytest

from pytest_spec11.stacks import Stack
from scenarios.support.contract import recipes
from scenarios.support.probes.boards import BANNER, NOTE

pytestmark = pytest.mark.S12
ROW = "SELECT v, status FROM app.recipe_versions WHERE id = %(id)s"


@pytest.mark.claim("S12.recipe-board")
def test_a_recipe_is_imported_listed_and_refused_on_its_page(lab: Stack, unique_goal: str) -> None:
    spec = {**recipes.spec(lab.app_sql), "id": unique_goal, "name": "from a page"}
    bundle = json.dumps({"id": unique_goal, "versions": [spec]})
    page = lab.browser.open("/?board=recipe")

    page.fill('[name="bundle"]', '{"id": 1}')
    page.click('form[action="/boards/import"] button')
    assert page.read_texts(f"{BANNER} strong") == ["400"]
    page.fill('[name="bundle"]', bundle)
    page.click('form[action="/boards/import"] button')

    assert page.read_texts(NOTE) == ["The recipes were imported as drafts."]
    (row,) = lab.app_sql.rows(ROW, id=unique_goal)
    shown = page.read_texts("section table tbody tr:first-child > *")
    assert shown[:2] == [row["v"], row["status"]]


@pytest.mark.claim("S12.recipe-board")
def test_the_start_form_has_the_fields_of_the_recipe(lab: Stack) -> None:
    spec = recipes.spec(lab.app_sql)
    page = lab.browser.open(f"/?board=recipe&recipe={spec['id']}")
    names = page.read_attributes('form[action="/boards/start"] [name^="form."]', "name")
    assert names == [f"form.{name}" for name in spec["formSchema"]["properties"]]
    needed = page.read_attributes('form[action="/boards/start"] [name^="form."][required]', "name")
    assert needed == [f"form.{name}" for name in spec["formSchema"]["required"]]
    assert page.read_attributes('[name="queuePartitionKey"]', "value") == ["ui-default"]
