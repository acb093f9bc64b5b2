"""Lists the tests that the files of the tree define, and those of them that a run has selected.

A run can leave tests out in many ways: by paths, options, hooks, and in Python itself, where a
later name replaces an earlier one. Therefore the list comes from the source, not from pytest.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import resolve_name
from pathlib import Path
from typing import Any, Final

import pytest
from _pytest.config.findpaths import load_config_dict_from_file
from _pytest.pathlib import fnmatch_ex

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_FILES: Final = ("test_*.py", "*_test.py")
_NAMES: Final = ("test",)
_FIXTURE: Final = "fixture"


class TestInventory:
    """The tests that a tree defines by its own patterns, whatever the command line says."""

    __test__ = False

    def __init__(self, config: pytest.Config, files: Iterable[str], folders: Sequence[str]) -> None:
        self._root = config.rootpath
        written = _read_settings(config.inipath)
        patterns = _words(written.get("python_files")) or _FILES
        self._names = (*_NAMES, *_words(written.get("python_functions")))
        self._files = [
            each
            for each in files
            if _is_in(each, folders) and any(fnmatch_ex(one, self._root / each) for one in patterns)
        ]

    def list_defined(self, modules: Mapping[Path, Any]) -> list[dict[str, Any]]:
        """Place and line of each test; ``modules`` are the test files that pytest imported."""
        return [
            {"place": f"{file}::{name}", "line": line}
            for file in self._files
            for name, line in self._list_file(file, modules.get(self._root / file))
        ]

    def _list_file(self, file: str, module: Any) -> Iterator[tuple[str, int]]:
        body = _parse(self._root / file)
        yield from self._walk(body, "")
        if module is not None:
            for each in ast.walk(ast.Module(body, [])):
                if isinstance(each, ast.ImportFrom):
                    yield from self._list_imported(each, module)

    def _walk(self, body: Iterable[ast.AST], owner: str) -> Iterator[tuple[str, int]]:
        """Tests of modules and classes, also in their branches; a function holds none."""
        for each in body:
            if isinstance(each, _FUNCTIONS):
                if each.name.startswith(self._names) and not _is_fixture(each):
                    yield f"{owner}{each.name}", each.lineno
            elif isinstance(each, ast.ClassDef):
                yield from self._walk(each.body, f"{owner}{each.name}::")
            elif isinstance(each, ast.stmt | ast.ExceptHandler | ast.match_case):
                yield from self._walk(ast.iter_child_nodes(each), owner)

    def _list_imported(self, statement: ast.ImportFrom, module: Any) -> Iterator[tuple[str, int]]:
        """Tests that a test file takes from another file of the tree."""
        name = "." * statement.level + (statement.module or "")
        package = getattr(module, "__package__", "") or ""
        try:
            source = sys.modules.get(resolve_name(name, package))
        except ImportError:
            return
        path = Path(getattr(source, "__file__", None) or "/")
        if path.suffix == ".py" and path.is_relative_to(self._root):
            wanted = {alias.name: alias.asname or alias.name for alias in statement.names}
            for found, _ in self._walk(_parse(path), ""):
                if "::" not in found and ("*" in wanted or found in wanted):
                    yield wanted.get(found, found), statement.lineno


def list_places(items: Iterable[pytest.Item], root: Path) -> list[str]:
    """The places of the tests that were selected: by node, and by the code that each one runs."""
    found: dict[str, None] = {}
    for item in items:
        found[place_of(item.nodeid)] = None
        function: Any = getattr(item, "function", None)
        if function is None:
            continue
        plain = inspect.unwrap(function)
        code = getattr(plain, "__code__", None)
        path = Path(code.co_filename) if code is not None else root
        if path.is_relative_to(root):
            name = plain.__qualname__.replace(".", "::")
            found[f"{path.relative_to(root).as_posix()}::{name}"] = None
    return list(found)


def place_of(node: str) -> str:
    """The place of a test, without its parameters."""
    return node.partition("[")[0]


def _parse(path: Path) -> list[ast.stmt]:
    """The statements of a file; none when it is not Python source, which pytest reports itself."""
    try:
        return ast.parse(path.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return []


def _is_fixture(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    words = (each.func if isinstance(each, ast.Call) else each for each in function.decorator_list)
    return any(ast.unparse(each).rpartition(".")[2] == _FIXTURE for each in words)


def _is_in(file: str, folders: Sequence[str]) -> bool:
    return not folders or any(file.startswith(f"{each.rstrip('/')}/") for each in folders)


def _read_settings(path: Path | None) -> Mapping[str, Any]:
    """The settings as the file has them, without those of the command line."""
    found: Any = load_config_dict_from_file(path) if path else None
    return {key: getattr(each, "value", each) for key, each in (found or {}).items()}


def _words(value: Any) -> tuple[str, ...]:
    return tuple(value.split() if isinstance(value, str) else value or ())
