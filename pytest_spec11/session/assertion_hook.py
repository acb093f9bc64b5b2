"""Hearing assertions that hold: pytest's switch for it, who speaks, and files compiled deaf."""

from __future__ import annotations

import inspect
import sysconfig
from functools import lru_cache
from pathlib import Path
from typing import Final

import pytest
from _pytest.assertion import rewrite

_SWITCH: Final = "enable_assertion_pass_hook"
_HEARD: Final = b"_call_assertion_pass"  # what the rewriter puts beside an assertion when it is on
_TOLD: Final = _HEARD.decode()
_HERE: Final = Path(__file__).parents[1]  # the plugin's own files
_CLAIMING: Final = _HERE / "oracles" / "snapshot.py"  # whose assertions are the caller's claim
_INSTALLED: Final = tuple(
    Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")
)


def switch_on(config: pytest.Config) -> None:
    """Pytest tells of every assertion that holds in a file it compiles from now on."""
    if not config.getini(_SWITCH):
        config._inicache[_SWITCH] = True  # noqa: SLF001  # ini values have no public setter


def is_of_tests(test: Path) -> bool:
    """Whether the assertion that is being told of stands in the file ``test`` or the team's others.

    pytest rewrites installed plugins, too, and what those assert about themselves proves nothing.
    """
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_name != _TOLD:
        frame = frame.f_back
    speaker = frame.f_back if frame else None
    return speaker is not None and _is_of_team(speaker.f_code.co_filename, test)


@lru_cache(maxsize=1024)
def _is_of_team(file: str, test: Path) -> bool:
    path = Path(file).resolve()
    if path.is_relative_to(_HERE):
        return path == _CLAIMING
    installed = any(path.is_relative_to(folder) for folder in _INSTALLED)
    return not installed or path == test.resolve()


def forget_deaf(path: Path) -> None:
    """No compiled form of this test file is left that was made while the switch was off.

    The switch is no part of the compiled file's name: without this, a test that ran once before
    the plugin was there would look as if it asserted nothing.
    """
    compiled = rewrite.get_cache_dir(path) / f"{path.stem}{rewrite.PYC_TAIL}"
    if compiled.exists() and _HEARD not in compiled.read_bytes():
        compiled.unlink(missing_ok=True)
