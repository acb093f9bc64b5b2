"""S03: the start form shows each refusal with its status and its text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pytest_spec11.oracles.browser import Page
from pytest_spec11.stacks import Stack
from scenarios.support.probes.boards import BANNER, fill_start

pytestmark = pytest.mark.S03
FAULT = """
CREATE FUNCTION public.break_start() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'planted'; END $$;
CREATE TRIGGER break_start BEFORE INSERT ON app.runs FOR EACH ROW
EXECUTE FUNCTION public.break_start()
"""


@contextmanager
def broken_starts(stack: Stack) -> Iterator[None]:
    """While the block runs, no run can be stored."""
    try:
        stack.admin.execute(FAULT)
        yield
    finally:
        stack.admin.execute("DROP FUNCTION IF EXISTS public.break_start CASCADE")


def read_banner(page: Page) -> tuple[list[str], str]:
    """The status and the whole text of each banner."""
    return page.read_texts(f"{BANNER} strong"), " ".join(page.read_texts(BANNER))


@pytest.mark.claim("S03.banner-per-code")
def test_each_refusal_has_a_banner_with_its_status_and_text(lab: Stack, unique_goal: str) -> None:
    told = lab.api.post("/api/run", json={"recipeRef": {"id": "compile-default", "v": "v1"}})
    page = lab.browser.open("/")

    fill_start(page, unique_goal, queuePartitionKey="")
    status, text = read_banner(page)
    assert (status, told.status) == (["400"], 400)
    assert "partition" in text.lower()

    page.go("/")
    fill_start(page, unique_goal)
    page.go("/")
    page.choose('[name="lane"]', "batch")
    fill_start(page, unique_goal)
    status, text = read_banner(page)
    assert (status, "drift" in text.lower()) == (["409"], True)

    assert page.go("/?wid=ih_nobody") == 404
    assert read_banner(page) == (["404"], "404 run not found")

    page.go("/")
    with broken_starts(lab):
        fill_start(page, f"{unique_goal} broken")
        assert lab.api.post("/api/run", json=body_of(f"{unique_goal} broken")).status == 500
    assert read_banner(page) == (["500"], "500 internal error")
    assert page.read_complaints() == []


def body_of(goal: str) -> dict[str, object]:
    """The body of a start, as the form makes it."""
    return {
        "recipeRef": {"id": "compile-default", "v": "v1"},
        "formData": {"goal": goal, "topic": "alpha"},
        "opts": {"queuePartitionKey": "ui-default"},
    }
