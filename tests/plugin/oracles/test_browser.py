"""The oracle of pages: its thread belongs to no test, and its readings are on record."""

from __future__ import annotations

from collections.abc import Callable

from tests.plugin.team import PROOF, Team

PAGE = """
import asyncio
import pytest

async def nothing(): pass

@pytest.mark.S00
@pytest.mark.claim("S00.answers")
def test_it_answers(api, browser):
    page = browser.open("/healthz")
    assert page.go("/healthz") == 200
    asyncio.run(nothing())
    assert page.read_texts("body") != []
    assert api.get("/healthz").status == 200
"""
REST = PROOF[PROOF.index('@pytest.mark.S00\n@pytest.mark.claim("S00.lives")') :]


def test_a_page_is_observed_and_makes_no_test_void(team: Callable[..., Team]) -> None:
    ours = team(PAGE + REST)
    ours.commit()

    found = ours.run()

    assert (found.status, found.summary[0]) == (0, "S00  2 of 2 claims proven: It is there")
    seen = [each for each in ours.records("observation") if each["source"] == "browser"]
    assert [each["facts"].get("selector") for each in seen] == [
        "GET /healthz",
        None,  # a picture
        "GET /healthz",
        None,
        "body",
    ]
    assert all(each["size"] > 0 for each in seen)


def test_without_a_browser_the_test_says_how_to_get_one(team: Callable[..., Team]) -> None:
    ours = team(PAGE + REST)
    ours.write(
        "conftest.py",
        (ours.path / "conftest.py").read_text()
        + "\nfrom pytest_spec11.oracles import browser\nbrowser._PROGRAMS = ('no-such-browser',)\n",
    )

    found = ours.run("-m", "S00")

    assert found.status == 1
    assert "no Chromium on the path; on Debian, as root: apt-get install chromium" in found.out
