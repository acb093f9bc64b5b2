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


class _TeamRewriter(rewrite.AssertionRewriter):
    """Compiles files of the team so that passed assertions are reported, and others as ever.

    pytest also rewrites every module of an installed plugin. Some of them assert thousands of times
    a second, and each report makes the text of an assertion: hypothesis took 50 times as long.
    """

    def __init__(
        self, module_path: str | None, config: pytest.Config | None, source: bytes
    ) -> None:
        super().__init__(module_path, config, source)
        path = Path(module_path or "").resolve()
        if _is_installed(path) and path != _CLAIMING:
            self.enable_assertion_pass_hook = False


def switch_on(config: pytest.Config) -> None:
    """Make pytest report each passed assertion of the files that it compiles from now on."""
    if not config.getini(_SWITCH):
        config._inicache[_SWITCH] = True  # noqa: SLF001  # ini values have no public setter
        rewrite.AssertionRewriter = _TeamRewriter  # type: ignore[misc]  # pytest has no hook for it


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
    return not _is_installed(path) or path == test.resolve()


def _is_installed(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in _INSTALLED)


def forget_deaf(path: Path) -> None:
    """Remove the compiled forms of this test file that pytest made while the switch was off.

    The name of a compiled file does not tell the switch. Without this, a test that ran before the
    plugin was installed would seem to assert nothing.
    """
    compiled = rewrite.get_cache_dir(path) / f"{path.stem}{rewrite.PYC_TAIL}"
    if compiled.exists() and _HEARD not in compiled.read_bytes():
        compiled.unlink(missing_ok=True)
