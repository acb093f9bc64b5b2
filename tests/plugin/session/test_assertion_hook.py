"""Passed assertions are reported for the files of a team, and for no installed plugin."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pytest_spec11
from pytest_spec11.session.assertion_hook import _TeamRewriter

SWITCHED_ON: Any = SimpleNamespace(getini=lambda _: True)
LIBRARY = Path(sysconfig.get_path("purelib"))


@pytest.mark.parametrize(
    ("path", "is_reported"),
    [
        (Path("/somewhere/test_mine.py"), True),
        (Path(pytest_spec11.__file__).parent / "oracles/snapshot.py", True),
        (LIBRARY / "hypothesis/internal/conjecture/engine.py", False),
        (LIBRARY / "some_plugin.py", False),
    ],
)
def test_only_files_of_the_team_report_what_they_assert(path: Path, is_reported: bool) -> None:  # noqa: FBT001  # a parameter
    made = _TeamRewriter(str(path), SWITCHED_ON, b"")
    assert made.enable_assertion_pass_hook == is_reported
