"""One checkout that is GO and one that is not, for every kind of report."""

from __future__ import annotations

from typing import Final

import pytest

from tests.plugin.team import PROOF, Team, make_team

HOSTILE: Final = '<script>alert(1)</script>&"\x1b[31m\ud800'
RED: Final = (
    PROOF
    + f"""

@pytest.mark.S01
@pytest.mark.claim("S01.takes-orders")
@pytest.mark.parametrize("what", ["<img src=x onerror=alert(1)>"])
def test_it_breaks(api, what):
    assert api.get("/nowhere").status == 200, {HOSTILE!r}

@pytest.mark.S00
@pytest.mark.claim("S00.lives")
@pytest.mark.skip(reason="later")
def test_left_out(api):
    assert api.get("/healthz").status == 200
"""
)


@pytest.fixture(scope="module")
def green(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """A checkout that is GO."""
    team = make_team(tmp_path_factory.mktemp("green"))
    team.commit()
    assert team.prove().status == 0
    return team


@pytest.fixture(scope="module")
def red(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """A checkout with a failed test, a skipped one, and hostile words in both."""
    team = make_team(tmp_path_factory.mktemp("red"), RED)
    team.commit()
    assert team.run("--spec11-scope", "signoff").status == 1
    return team
