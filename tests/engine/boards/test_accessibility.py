"""Every board passes axe, in both schemes and on a phone, and none is wider than its window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from pytest_spec11.oracles.browser import Browser, BrowserDoor
from tests.engine.shim_process import Shim

AXE: Final = Path(__file__).parents[3] / ".tools/validators/node_modules/axe-core/axe.min.js"
RUN_AXE: Final = """
async () => {
  const found = await axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"] });
  return found.violations.flatMap(
    rule => rule.nodes.map(node => `${rule.id}: ${node.target} ${node.failureSummary}`));
}
"""
ADDRESSES: Final = (
    *("/", "/?board=hitl-inbox", "/?board=ops", "/?board=ops&wid={wid}", "/?board=throughput"),
    *("/?board=recipe&recipe=compile-default", "/?board=signoff", "/?wid=ih_nobody", "/docs"),
    *(
        f"/?wid={{wid}}&board=run&tab={tab}"
        for tab in ("timeline", "gate", "artifacts", "patches", "proof", "ops", "repro")
    ),
)
WINDOWS: Final = {"desktop": (1280, 900, "light"), "phone": (390, 844, "dark")}


class Silent:
    """A witness that keeps nothing: what is looked for here is no evidence."""

    def __call__(self, *_: Any, **__: Any) -> None:
        """Keep nothing."""

    def pass_on(self, source: str, ref: str, reading: Any) -> Any:
        """The reading itself."""
        del source, ref
        return reading


@pytest.fixture(scope="module")
def browser(shim: Shim) -> Iterator[Browser]:
    """Pages of the module's api-shim."""
    door = BrowserDoor(str(shim.http.base_url))
    opened = Browser(door, Silent())
    yield opened
    opened.close()
    door.close()


@pytest.mark.parametrize("window", WINDOWS)
def test_axe_finds_nothing_on_any_board(shim: Shim, browser: Browser, window: str) -> None:
    assert AXE.is_file(), "needs the tools of other makers: `make validators` brings them"
    wid, _ = shim.park_run(f"looked at on a {window}")
    width, height, scheme = WINDOWS[window]
    page = browser.open("/", width=width, height=height, scheme=scheme)
    found = {}
    for address in ADDRESSES:
        page.go(address.format(wid=wid))
        page.run_script(f"() => {{ {AXE.read_text()}; return []; }}", "load axe")
        found[address] = page.run_script(RUN_AXE, "axe")
        if page.measure_overflow() > 0:
            found[address].append("wider than its window")
    assert {address: faults for address, faults in found.items() if faults} == {}


def test_axe_finds_what_is_wrong(shim: Shim, browser: Browser) -> None:
    del shim
    page = browser.open("/")
    page.run_script("() => { document.querySelector('label').remove(); return []; }", "spoil")
    page.run_script(f"() => {{ {AXE.read_text()}; return []; }}", "load axe")
    assert page.run_script(RUN_AXE, "axe") != []
