"""S13: the panel of patches shows what SQL holds: hashes, state and times, and no contents."""

from __future__ import annotations

import pytest

from pytest_spec11.fixtures import Provokes
from scenarios.support.probes.boards import address, shorten_hashes
from scenarios.support.runs.patches import attempts
from scenarios.support.runs.workshop import Workshop

pytestmark = pytest.mark.S13


@pytest.mark.claim("S13.patch-view")
def test_the_panel_shows_what_the_api_and_sql_hold(shop: Workshop, provokes: Provokes) -> None:
    shop.make_directory("shown")
    wid = shop.park_run("shown", (".tmp/shown/b", "secret-b"), (".tmp/shown/a", "secret-a"))
    page = shop.stack.browser.open(address(wid, "patches"))
    assert page.read_texts("#tab-patches td .badge") == ["APPLIED", "APPLIED"]
    provokes(wid, "its plan is rejected")
    shop.answer(wid, "no")
    shop.await_failure(wid)
    views = shop.stack.api.get(f"/api/runs/{wid}/steps/ApplyPatchST/patches").json()
    assert attempts(shop.history(wid)) == [(0, 1, "failure"), (1, 1, "failure")]

    page.go(address(wid, "patches"))

    shown = [text.split("\t") for text in page.read_texts("#tab-patches tbody tr")]
    assert [cells[:6] for cells in shown] == [
        [str(each["patchIndex"]), each["targetPath"], "ROLLED BACK", *shorten_hashes(each)]
        for each in views
    ]
    assert len(page.read_texts("#tab-patches td time")) == 2 * len(views)
    assert "secret" not in " ".join(page.read_texts("main"))
