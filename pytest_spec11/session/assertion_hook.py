"""Reports of passed assertions: pytest's switch, whose assertions count, stale compiled files."""

from __future__ import annotations

import inspect
import sysconfig
from functools import lru_cache
from pathlib import Path
from typing import Final

import pytest
from _pytest.assertion import rewrite

_SWITCH: Final = "enable_assertion_pass_hook"
_HEARD: Final = b"_call_assertion_pass"  # pytest's rewriter adds it when the switch is on
_TOLD: Final = _HEARD.decode()
_HERE: Final = Path(__file__).parents[1]  # the plugin's own files
_CLAIMING: Final = _HERE / "oracles" / "snapshot.py"  # its assertions belong to its caller
_INSTALLED: Final = tuple(
    Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")
)


def switch_on(config: pytest.Config) -> None:
    """Make pytest report each passed assertion of the files that it compiles from now on."""
    if not config.getini(_SWITCH):
        config._inicache[_SWITCH] = True  # noqa: SLF001  # ini values have no public setter


def is_of_tests(test: Path) -> bool:
    """Whether the reported assertion stands in the file ``test`` or another file of the team.

    pytest also rewrites installed plugins. What those assert about themselves proves nothing.
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
    """Remove the compiled forms of this test file that pytest made while the switch was off.

    The name of a compiled file does not tell the switch. Without this, a test that ran before the
    plugin was installed would seem to assert nothing.
    """
    compiled = rewrite.get_cache_dir(path) / f"{path.stem}{rewrite.PYC_TAIL}"
    if compiled.exists() and _HEARD not in compiled.read_bytes():
        compiled.unlink(missing_ok=True)
