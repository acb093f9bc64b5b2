"""The static rules of the sources, held by parsing them: what the other tools do not look at.

A rule reads every file below its roots. A root that is missing, or in which there is nothing to
read, is a finding itself: a scan of nothing must not be green.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

Check = Callable[[ast.Module, str], Iterator[tuple[int, str]]]
PACKAGES: Final = ("engine", "pytest_spec11", "scenarios")


@dataclass(frozen=True, slots=True)
class Rule:
    """One law: where it holds, what it finds, and a source that breaks it."""

    name: str
    roots: tuple[str, ...]
    check: Check
    broken: str
    but: tuple[str, ...] = ()  # files that may


def scan(root: Path, rule: Rule) -> list[str]:
    """Every breach of the rule below ``root``, as ``file:line what``."""
    found: list[str] = []
    for name in rule.roots:
        files = sorted((root / name).rglob("*.py"))
        if not files:
            found.append(f"{name}:0 nothing to read there")
        for path in files:
            near, text = path.relative_to(root).as_posix(), path.read_text("utf-8")
            if near not in rule.but:
                breaches = rule.check(ast.parse(text), text)
                found += [f"{near}:{line} {what}" for line, what in breaches]
    return found


IMPURE: Final = frozenset(
    {"datetime", "os", "random", "secrets", "socket", "threading", "time", "uuid"}
)


def _impure(tree: ast.Module, _: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            for name in [node.module or ""] if isinstance(node, ast.ImportFrom) else names:
                if name.partition(".")[0] in IMPURE:
                    yield node.lineno, f"a workflow would see {name}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"asyncio.sleep", "open"}:
            yield node.lineno, f"a workflow would call {ast.unparse(node.func)}"


def _sleeps(tree: ast.Module, _: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"time.sleep", "sleep"}:
            yield node.lineno, "sleeps in place of a condition"


def _find_spliced_sql(tree: ast.Module, _: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            first = node.args[0] if node.args else None
            if node.func.attr in {"execute", "executemany"} and _is_made(first):
                yield node.lineno, "a statement made of text, not of parameters"


def _is_made(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        text = isinstance(node.func.value, ast.Constant | ast.JoinedStr)
        return text and node.func.attr in {"format", "join", "encode"}
    return isinstance(node, ast.JoinedStr | ast.BinOp)


def _swallows(tree: ast.Module, _: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and all(isinstance(n, ast.Pass) for n in node.body):
            yield node.lineno, "an error is swallowed"
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            wide = {"Exception", "BaseException"} & {ast.unparse(each) for each in node.args}
            if wide:
                yield node.lineno, "every error is swallowed"


def _evades(tree: ast.Module, _: str) -> Iterator[tuple[int, str]]:
    ways = re.compile(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)$")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ways.match(ast.unparse(node)):
            yield node.lineno, f"evades by {ast.unparse(node)}"


def _mute(tree: ast.Module, _: str) -> Iterator[tuple[int, str]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            claims = [each for each in node.decorator_list if "mark.claim" in ast.unparse(each)]
            if claims and not any(isinstance(each, ast.Assert) for each in ast.walk(node)):
                yield node.lineno, f"{node.name} claims and asserts nothing"


MACHINE: Final = re.compile(r"""["'(=\s](/(?:work|home|root|opt|Users)/[\w.-]+)""")


def _find_machine_places(_: ast.Module, text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if place := MACHINE.search(line):
            yield number, f"names a place of one machine: {place[1]}"


# What starts a server has a bounded wait of its own: it runs before anything that could tell.
LAUNCHERS: Final = (
    "engine/postgres/place.py",
    "engine/postgres/server.py",
    "engine/store/migrations/__init__.py",
)
MODULE_LINES: Final = 400
FUNCTION_LINES: Final = 40


def _too_long(tree: ast.Module, text: str) -> Iterator[tuple[int, str]]:
    if (lines := text.count("\n")) > MODULE_LINES:
        yield lines, f"a module of {lines} lines; {MODULE_LINES} are allowed"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield node.lineno, f"{node.name} has {lines} lines; {FUNCTION_LINES} are allowed"


WORKFLOWS: Final = frozenset(
    {"RunIntent", "RunTask", "RepairIntent", "Compensate", "EscalateTimeout", "PromoteRecipe"}
)


def _names_workflow(tree: ast.Module, _: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in WORKFLOWS:
            yield node.lineno, f"names the workflow {node.value} itself"


RULES: Final = (
    Rule(
        "workflows are deterministic", ("engine/flows",), _impure,
        "import time\n", but=("engine/flows/durable.py",),
    ),
    Rule(
        "waiting is on a condition", PACKAGES, _sleeps,
        "import time\ntime.sleep(1)\n", but=("pytest_spec11/waiting.py", *LAUNCHERS),
    ),
    Rule(
        "SQL has parameters", ("engine", "pytest_spec11"), _find_spliced_sql,
        "def f(tx, x):\n    tx.execute(f'SELECT {x}')\n",
        but=("engine/store/migrations/__init__.py",),  # grants to our own roles on our own schemas
    ),
    Rule(
        "errors are not swallowed", (*PACKAGES, "tests"), _swallows,
        "try:\n    f()\nexcept ValueError:\n    pass\n",
    ),
    Rule(
        "no test evades", ("scenarios", "tests/engine", "tests/policy"), _evades,
        "import pytest\n\n@pytest.mark.skip\ndef test_it():\n    assert f()\n",
    ),
    Rule(
        "who claims asserts", ("scenarios",), _mute,
        "@pytest.mark.claim('S00.x')\ndef test_it(api):\n    api.get('/')\n",
    ),
    Rule(
        "modules and functions are short", (*PACKAGES, "reports", "tests", "benchmarks"),
        _too_long, "VALUE = 1\n" * (MODULE_LINES + 1),
    ),
    Rule(
        "workflows are named once", ("engine",), _names_workflow,
        "START = 'RunIntent'\n", but=("engine/core/workflows.py",),
    ),
    Rule(
        "the sources know no machine", PACKAGES, _find_machine_places,
        "PLACE = '/home/me/checkout'\n",
    ),
)  # fmt: skip
