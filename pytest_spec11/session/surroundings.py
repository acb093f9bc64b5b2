"""The surroundings of a run: the plugins, the interpreter, and what spoke without being committed.

A file below the root that is no part of the bound tree is foreign: code if Python ran it, else an
input (D40). Told apart by rule, and by no name of a project: files that a distribution of the
virtual environment lists, compiled files of a bound source, and what this process made itself.
"""

from __future__ import annotations

import os
import re
import site
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import pytest

from pytest_spec11.opened_files import OpenedFiles
from pytest_spec11.oracles.witness import without_password

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_COMPILED: Final = re.compile(r"(.+)\.[a-z]+-\d+(\.opt-\d)?(-pytest-[^/]+)?\.pyc")
_CACHE: Final = "__pycache__"
_VARIABLES: Final = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTHONPATH", "PYTHONSTARTUP")
_MOST: Final = 1000  # foreign files that a record names


def describe(
    config: pytest.Config,
    opened: OpenedFiles | None,
    bound: Collection[str],
    settings: Iterable[Path],
    evidence: Path,
) -> dict[str, Any]:
    """The data of the record ``surroundings``. ``bound`` are the paths of the bound tree.

    ``settings`` are the files that say how the run is to be made and judged. ``evidence`` is the
    run's own folder: what is in it was made by the run.
    """
    root = config.rootpath.resolve()
    judged = _Files(root, bound, opened.made if opened else (), evidence.resolve())
    foreign = {
        (path, kind)
        for kind, paths in (
            ("code", [*(opened.code if opened else ()), *_list_modules()]),
            ("input", [*(opened.inputs if opened else ()), *map(os.path.realpath, settings)]),
            ("environment", opened.environment if opened else ()),
        )
        for path in paths
        if judged.is_foreign(path, kind)
    }
    named = sorted((judged.name(path), _word(path, kind)) for path, kind in foreign)
    return {
        "heard": opened is not None and not opened.faults,
        "faults": sorted({*(opened.faults if opened else ())})[:20],
        "foreign": [{"path": path, "kind": kind} for path, kind in dict.fromkeys(named)][:_MOST],
        "plugins": list(_list_plugins(config)),
        "python": _describe_python(),
    }


def _word(path: str, kind: str) -> str:
    """``code`` or ``input``, for a file of the virtual environment too."""
    is_code = kind == "code" or (kind == "environment" and path.endswith((".py", ".pyc")))
    return "code" if is_code else "input"


class _Files:
    """Tells which files are part of what is proven, or of what was installed."""

    def __init__(
        self, root: Path, bound: Collection[str], made: Collection[str], evidence: Path
    ) -> None:
        self._root = root
        self._own = (_PACKAGE, evidence)
        self._bound = bound
        self._made = made
        self._installed: frozenset[str] | None = None
        self._libraries = tuple(_list_libraries())
        self._environment = _find_environment(root)

    def name(self, path: str) -> str:
        """The path below the root, or the whole path of a file elsewhere."""
        place = find_source(Path(path))
        return place.relative_to(self._root).as_posix() if self._is_below(place) else str(place)

    def is_foreign(self, path: str, kind: str) -> bool:
        """Whether nobody committed the file, and no distribution brought it."""
        source = find_source(Path(path))
        if str(source) in self._made or any(map(source.is_relative_to, self._own)):
            return False
        if self._is_below(source):
            is_of_environment = self._environment in source.parents
            return not (self._is_installed(source) if is_of_environment else self._is_bound(source))
        is_library = str(source).startswith(self._libraries)
        return kind == "input" or not (is_library or self._is_installed(source))

    def _is_below(self, place: Path) -> bool:
        return place.is_relative_to(self._root)

    def _is_bound(self, place: Path) -> bool:
        """Whether the file, or the archive that holds it, is part of the tree."""
        near = place.relative_to(self._root)
        return any(each.as_posix() in self._bound for each in (near, *near.parents))

    def _is_installed(self, source: Path) -> bool:
        if self._installed is None:
            self._installed = frozenset(_list_installed())
        is_interpreter = source.resolve().is_relative_to(Path(sys.base_prefix).resolve())
        return str(source) in self._installed or is_interpreter


def find_source(path: Path) -> Path:
    """The source of a compiled file in its cache; any other path is returned as it is."""
    found = _COMPILED.fullmatch(path.name) if path.parent.name == _CACHE else None
    return path.parent.parent / f"{found[1]}.py" if found else path


def _find_environment(root: Path) -> Path | None:
    """The virtual environment, if it is a folder of the tree."""
    place = Path(sys.prefix).resolve()
    return place if root in place.parents else None


def _list_modules() -> Iterator[str]:
    """The files of all modules that this process loaded, as they are now."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and os.path.isabs(file):  # noqa: PTH117  # a text, for many
            yield os.path.realpath(file)


def _list_libraries() -> Iterator[str]:
    """The folders of the standard library and of installed distributions."""
    paths = sysconfig.get_paths()
    folders = {paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {*site.getsitepackages(), site.getusersitepackages()}
    base = sysconfig.get_paths(vars={"base": sys.base_prefix, "platbase": sys.base_prefix})
    folders |= {base["stdlib"], base["platstdlib"]}
    for folder in folders:
        yield str(Path(folder).resolve()) + os.sep


def _list_installed() -> Iterator[str]:
    """Every file that a distribution on the path lists as its own."""
    for each in metadata.distributions():
        record = each.read_text("RECORD") or ""
        base = Path(str(each.locate_file(""))).resolve()
        for line in record.splitlines():
            yield os.path.normpath(base / line.rpartition(",")[0].rpartition(",")[0].strip('"'))


def _list_plugins(config: pytest.Config) -> Iterator[dict[str, str]]:
    """Every plugin that is no part of pytest: its name, and the distribution that brought it."""
    brought = {id(plugin): each for plugin, each in config.pluginmanager.list_plugin_distinfo()}
    for name, plugin in sorted(config.pluginmanager.list_name_plugin(), key=lambda each: each[0]):
        file = getattr(plugin, "__file__", None)
        if (
            plugin is None
            or file is None
            or str(file).startswith(str(Path(pytest.__file__).parent))
        ):
            continue
        if getattr(plugin, "__name__", "").partition(".")[0] in {"_pytest", "pytest_spec11"}:
            continue
        known = brought.get(id(plugin))
        word = "" if known is None else f"{known.metadata['name']} {known.version}"
        yield {"name": _shorten(config, str(name)), "distribution": word}


def _shorten(config: pytest.Config, name: str) -> str:
    root = f"{config.rootpath}{os.sep}"
    return name.removeprefix(root)


def _describe_python() -> dict[str, Any]:
    flags = sys.flags
    return {
        "optimize": flags.optimize,
        "isolated": flags.isolated,
        "noSite": flags.no_site,
        "variables": {
            name: without_password(os.environ[name])  # noqa: TID251  # not the engine's
            for name in _VARIABLES
            if name in os.environ  # noqa: TID251  # as above
        },
    }
