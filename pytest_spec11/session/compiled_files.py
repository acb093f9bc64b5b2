"""Compiled files in caches: what ran is the compiled form of the source, or it is foreign (D40).

Python takes a compiled file for that of a source by the source's time and size, which anybody can
forge. So the source is compiled again, and the two are compared.
"""

from __future__ import annotations

import marshal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any, Final

from _pytest.assertion import rewrite

from pytest_spec11.session.surroundings import find_source

_HEADER: Final = 16  # bytes before the code: magic, flags, and time and size or hash of the source
_REWRITTEN: Final = "-pytest-"


def find_forged(paths: Iterable[str]) -> Iterator[str]:
    """The compiled files whose code is not that of their source."""
    for path in sorted(paths):
        compiled = Path(path)
        source = find_source(compiled)
        if source != compiled and source.is_file() and not _is_faithful(compiled, source):
            yield path


def _is_faithful(compiled: Path, source: Path) -> bool:
    try:
        ran = marshal.loads(compiled.read_bytes()[_HEADER:])  # noqa: S302  # it ran already
    except (OSError, ValueError, EOFError, TypeError):
        return not compiled.exists()  # pytest replaces a file of an older version
    return any(ran == code for code in _list_forms(compiled, source))


def _list_forms(compiled: Path, source: Path) -> Iterator[CodeType]:
    """The forms that the source may have: pytest compiles with and without reports."""
    if _REWRITTEN not in compiled.name:
        optimize = sys.flags.optimize
        yield compile(
            source.read_bytes(), str(source), "exec", dont_inherit=True, optimize=optimize
        )
        return
    for is_reported in (True, False):
        switch: Any = SimpleNamespace(getini=lambda _, value=is_reported: value)
        _, code = rewrite._rewrite_test(source, switch)  # noqa: SLF001  # there is no public way
        yield code
