"""How a report is asked for."""

from __future__ import annotations

from tests.plugin.team import Ended, Team


def run_report(team: Team, *args: str) -> Ended:
    """How ``spec11 report`` on the newest bundle ended."""
    return team.spec11("report", str(team.bundle), *args)
