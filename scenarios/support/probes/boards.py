"""Where things are on a page of the boards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pytest_spec11.oracles.browser import Page

STATUS: Final = "#run-title .badge"
RUN_ID: Final = "#run-title code"
STEPS: Final = "#tab-timeline tbody th"
BANNER: Final = "[role=alert]"
NOTE: Final = "main > .banner.good"
DRIFT: Final = "table.drift tbody tr"
TABS: Final = ("timeline", "gate", "artifacts", "patches", "proof", "ops", "repro")
PHONE: Final = 640  # CSS pixels


def address(wid: str, tab: str = "timeline", **more: str) -> str:
    """The address of a tab of a run."""
    rest = "".join(f"&{name}={value}" for name, value in more.items())
    return f"/?wid={wid}&board=run&tab={tab}{rest}"


def shorten_hashes(patch: Mapping[str, Any]) -> list[str]:
    """The three hashes of a patch, as its row on the page shows them."""
    names = ("preimageHash", "postimageHash", "diffHash")
    return [(patch[name] or "no file")[:12] for name in names]


def fill_start(page: Page, goal: str, **fields: str) -> None:
    """Fill the form of a start and send it; ``fields`` are other fields by name."""
    page.fill('[name="form.goal"]', goal)
    for name, text in fields.items():
        page.fill(f'[name="{name}"]', text)
    page.click('form[action="/boards/start"] > button')
