"""S15: the page of the sign-off says what its API says: verdict, tiles and reasons."""

from __future__ import annotations

import pytest

from pytest_spec11.oracles.browser import Browser
from pytest_spec11.oracles.http import Api

pytestmark = pytest.mark.S15
POSTURE = {
    "topology", "runtimeMode", "ocMode", "ocStrictMode", "sbxMode", "sbxProvider", "appVersion",
    "claimScope",
}  # fmt: skip
LISTS = ("rollbackTriggers", "pfTiles", "proofTiles")


@pytest.mark.claim("S15.board-shape")
def test_the_page_shows_the_verdict_the_tiles_and_the_reasons(api: Api, browser: Browser) -> None:
    page = browser.open("/?board=signoff")
    board = api.get("/api/ops/signoff").json()
    assert board["verdict"] in {"GO", "NO_GO"}
    assert {*board} == {*LISTS, "verdict", "posture", "reasons", "ts"}
    assert {*board["posture"]} == POSTURE
    assert [len(board[name]) for name in LISTS] == [7, 6, 26]
    assert page.read_texts(".verdict .word") == [board["verdict"]]
    tiles = [tile for name in LISTS for tile in board[name]]
    assert page.read_texts(".tile summary") == [
        f"{tile['verdict']} {tile['label']} {tile['id']}" for tile in tiles
    ]
    assert page.read_texts("section:last-of-type li") == [
        f"{each['code']} {each['subject']}: {each['text']}" for each in board["reasons"]
    ]
