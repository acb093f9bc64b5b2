"""Which file of a work tree holds its claims: the policy or pytest's configuration names it.

``[release] catalogue`` in ``spec11.toml``, or the ini key ``spec11_catalogue`` of the file in which
pytest finds its configuration. If both name a file, it is the same one. If neither does, the claims
of the package count.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import iniconfig

from pytest_spec11.errors import BadInput
from pytest_spec11.requirements import catalogue, policy
from pytest_spec11.requirements.catalogue import Catalogue

Read = Callable[[str], str | None]

KEY: Final = "spec11_catalogue"
# Where pytest looks, in its order, and the table or section that makes a file its configuration.
_INI: Final[Mapping[str, tuple[str, ...]]] = {
    "pytest.toml": ("pytest",),
    ".pytest.toml": ("pytest",),
    "pytest.ini": ("pytest",),
    ".pytest.ini": ("pytest",),
    "pyproject.toml": ("tool.pytest", "tool.pytest.ini_options"),
    "tox.ini": ("pytest",),
    "setup.cfg": ("tool:pytest",),
}
_ALWAYS: Final = frozenset({"pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini"})


def load(root: Path, named: Path | None = None) -> Catalogue:
    """The claims of the work tree; ``named`` is the file that an option names instead.

    Raises BadInput if the file is no catalogue, or if the tree names two.
    """
    return catalogue.load(find_file(root, named))


def find_file(root: Path, named: Path | None = None) -> Path | None:
    """The file of the claims of the work tree at ``root``; None: the claims of the package.

    Raises BadInput if the policy and pytest's configuration name different files.
    """
    if named is not None:
        return named
    found = find_name(lambda name: _read_text(root / name))
    return root / found if found else None


def find_name(read: Read) -> str:
    """The path below the root that the files of a tree name; empty if they name none.

    ``read`` gives the text of a file by its name, or None. Raises BadInput as ``find_file``.
    """
    text = read(policy.FILE)
    wished = policy.read(text.encode()).catalogue if text is not None else ""
    place, told = _find_ini(read)
    if wished and told and Path(wished) != Path(told):
        raise BadInput(f"{policy.FILE} names the catalogue {wished}, and {place} names {told}")
    return wished or told


def _find_ini(read: Read) -> tuple[str, str]:
    """The file with pytest's configuration, and the catalogue that it names."""
    for name in _INI:
        text = read(name)
        if text is None:
            continue
        tables = list(_find_tables(name, text))
        if tables or name in _ALWAYS:
            told = [str(table[KEY]) for table in tables if table.get(KEY)]
            return name, told[0] if told else ""
    return "", ""


def _find_tables(name: str, text: str) -> Iterator[Mapping[str, Any]]:
    """The tables of a file that configure pytest. Raises BadInput for a file that is unreadable."""
    try:
        if name.endswith(".toml"):
            document = tomllib.loads(text)
            yield from filter(None, (_descend(document, path) for path in _INI[name]))
        else:
            parsed = iniconfig.IniConfig(name, data=text)
            yield from (parsed.sections[each] for each in _INI[name] if each in parsed.sections)
    except (tomllib.TOMLDecodeError, iniconfig.ParseError, RecursionError) as error:
        raise BadInput(f"{name}: {error}") from error


def _descend(document: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    found: Any = document
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: {error}") from error
