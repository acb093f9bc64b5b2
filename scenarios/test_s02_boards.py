"""S02: the start form names a replay, and shows a drift field by field."""

from __future__ import annotations

import pytest

from pytest_spec11.oracles.browser import Browser
from pytest_spec11.oracles.http import Api
from scenarios.support.probes.boards import BANNER, DRIFT, NOTE, fill_start

pytestmark = pytest.mark.S02
PARTITION = "ui-default"


@pytest.mark.claim("S02.board-shows-drift")
def test_the_page_shows_the_drift_that_the_api_tells(
    api: Api, browser: Browser, unique_goal: str
) -> None:
    page = browser.open("/")
    fill_start(page, unique_goal)
    assert page.read_texts(NOTE) == ["The run was started."]
    page.go("/")
    fill_start(page, unique_goal)
    assert "This is a replay" in page.read_texts(NOTE)[0]
    told = api.post(
        "/api/run",
        json={
            "recipeRef": {"id": "compile-default", "v": "v1"},
            "formData": {"goal": unique_goal, "topic": "alpha"},
            "opts": {"queuePartitionKey": PARTITION, "lane": "batch"},
        },
    )
    assert told.status == 409

    page.go("/")
    page.choose('[name="lane"]', "batch")
    fill_start(page, unique_goal)

    assert page.read_texts(f"{BANNER} strong") == ["409"]
    shown = [row.split("\t") for row in page.read_texts(DRIFT)]
    expected = [
        (each["field"], each["existing"], each["incoming"]) for each in told.json()["drift"]
    ]
    assert [(row[0], row[1].strip('"'), row[2].strip('"')) for row in shown] == [
        tuple(map(str, each)) for each in expected
    ]
