"""Hearing assertions that hold: pytest's switch for it, and files compiled while it was off."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from _pytest.assertion import rewrite

_SWITCH: Final = "enable_assertion_pass_hook"
_HEARD: Final = b"_call_assertion_pass"  # what the rewriter puts beside an assertion when it is on


def switch_on(config: pytest.Config) -> None:
    """Pytest tells of every assertion that holds in a file it compiles from now on."""
    if not config.getini(_SWITCH):
        config._inicache[_SWITCH] = True  # noqa: SLF001  # ini values have no public setter


def forget_deaf(path: Path) -> None:
    """No compiled form of this test file is left that was made while the switch was off.

    The switch is no part of the compiled file's name: without this, a test that ran once before
    the plugin was there would look as if it asserted nothing.
    """
    compiled = rewrite.get_cache_dir(path) / f"{path.stem}{rewrite.PYC_TAIL}"
    if compiled.exists() and _HEARD not in compiled.read_bytes():
        compiled.unlink(missing_ok=True)
