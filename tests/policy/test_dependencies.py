"""What is imported is declared, what is declared is locked, what is locked is installed."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = {"benchmarks", "conftest", "engine", "pytest_spec11", "reports", "scenarios", "tests"}
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(text: str) -> dict[str, str]:
    """Version by distribution, as the lock says."""
    return {canonical(name): version for name, version in PINNED.findall(text)}


def list_declared(project: Mapping[str, object]) -> set[str]:
    """Every distribution that the project asks for, in any way."""
    table, groups = project["project"], project["dependency-groups"]
    assert isinstance(table, dict)
    assert isinstance(groups, dict)
    extras = table["optional-dependencies"].values()
    lines = [*table["dependencies"], *(each for names in extras for each in names)]
    lines += [each for names in groups.values() for each in names if isinstance(each, str)]
    return {canonical(re.split(r"[\s\[<>=!~;]", line, maxsplit=1)[0]) for line in lines}


def list_imported(root: Path, folders: set[str]) -> Iterator[tuple[str, str]]:
    """Every top-level module that a source imports, and one file that does."""
    for folder in sorted(folders):
        for path in sorted((root / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    yield from ((each.name.partition(".")[0], path.name) for each in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    yield node.module.partition(".")[0], path.name


def find_undeclared(root: Path, wanted: set[str]) -> dict[str, str]:
    """Modules that no declared distribution brings, with a file that imports them."""
    brings = metadata.packages_distributions()
    found = {}
    for module, file in list_imported(root, OURS - {"conftest"}):
        if module in OURS or module in sys.stdlib_module_names:
            continue
        if not {canonical(name) for name in brings.get(module, ())} & wanted:
            found[module] = file
    return found


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_every_import_is_declared(project: dict[str, object]) -> None:
    assert find_undeclared(ROOT, list_declared(project)) == {}


def test_an_import_that_is_not_declared_is_found(project: dict[str, object]) -> None:
    assert "httpx" in find_undeclared(ROOT, list_declared(project) - {"httpx"})


def test_what_is_installed_is_what_is_locked() -> None:
    pins = read_lock((ROOT / "requirements.lock").read_text("utf-8"))

    found = {name: _find_version(name) for name in pins}
    assert len(pins) > 20
    assert {name: it for name, it in found.items() if it is not None} == {
        name: version for name, version in pins.items() if found[name] is not None
    }
    assert "pytest" in pins
    assert {name for name in found if found[name] is None} <= OF_OTHER_MACHINES


OF_OTHER_MACHINES = {"colorama", "cffi", "exceptiongroup", "tomli", "tzdata", "uvloop", "pywin32"}


def _find_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def test_a_version_that_is_not_the_locked_one_is_seen() -> None:
    pins = read_lock("pytest==0.0.1 \\\n    --hash=sha256:00\nno-such-thing==1\n")

    assert pins == {"pytest": "0.0.1", "no-such-thing": "1"}
    assert _find_version("pytest") != pins["pytest"]
    assert _find_version("no-such-thing") is None


def test_what_is_declared_is_locked(project: dict[str, object]) -> None:
    optional = {"e2b", "microsandbox"}  # of who has an account with them
    pins = read_lock((ROOT / "requirements.lock").read_text("utf-8"))

    assert list_declared(project) - pins.keys() <= optional
