"""What selected tests need of the target. Their fixtures show it before any test runs."""

from __future__ import annotations

from typing import Any, Final

import pytest

from pytest_spec11.launch.lease import MAIN, SERVICES
from pytest_spec11.session import markers

RECORD: Final = "record"  # a selected test is marked: there is something to prove
PRIVATE: Final = "private"  # a selected test may start stacks of its own
_FIXTURES: Final = "pytest_spec11.fixtures"
_STACK: Final = frozenset({SERVICES, MAIN})
_OF_FIXTURE: Final = {
    "api": _STACK,
    "app_sql": _STACK,
    "sys_sql": _STACK,
    "proc": _STACK,
    "browser": _STACK,
    "stacks": frozenset({SERVICES, PRIVATE}),
}


def needs_of(item: pytest.Item) -> frozenset[str]:
    """``RECORD`` for a marked test, and the parts of the target that its fixtures use."""
    marked = frozenset({RECORD}) if markers.is_marked(item) else frozenset[str]()
    return marked.union(*(need for name, need in _OF_FIXTURE.items() if _asks_ours(item, name)))


def _asks_ours(item: pytest.Item, name: str) -> bool:
    """Whether this test gets the plugin's fixture ``name``, also through one of the team's own."""
    if name not in getattr(item, "fixturenames", ()):
        return False
    info: Any = getattr(item, "_fixtureinfo", None)  # pytest has no public call for this
    for each in reversed(info.name2fixturedefs.get(name, ()) if info else ()):
        if each.func.__module__ == _FIXTURES:
            return True
        if name not in each.argnames:
            break
    return False
