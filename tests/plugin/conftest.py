"""Fixtures of the prover's tests: checkouts of other teams."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.plugin.team import Team, make_team


@pytest.fixture
def team(tmp_path: Path) -> Callable[..., Team]:
    """Makes a team's checkout: ``team()``, or ``team(tests)`` with test files of its own."""

    def make(*tests: str) -> Team:
        (tmp_path / "team").mkdir(exist_ok=True)
        return make_team(tmp_path / "team", *tests)

    return make
