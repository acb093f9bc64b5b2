"""Names of functions: which of them are a bare participle, that is, say no verb and no object."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PACKAGES: Final = ("benchmarks", "engine", "pytest_spec11", "reports", "scenarios", "tests")
IRREGULAR: Final = frozenset(
    [
        "become",
        "begun",
        "bound",
        "brought",
        "built",
        "cut",
        "drawn",
        "dealt",
        "done",
        "driven",
        "fallen",
        "fed",
        "felt",
        "fought",
        "found",
        "frozen",
        "given",
        "gone",
        "grown",
        "heard",
        "held",
        "hidden",
        "hit",
        "kept",
        "known",
        "laid",
        "led",
        "left",
        "lent",
        "lost",
        "made",
        "meant",
        "met",
        "paid",
        "put",
        "ran",
        "read",
        "said",
        "saw",
        "seen",
        "sent",
        "set",
        "shown",
        "shut",
        "spelt",
        "spent",
        "split",
        "spoken",
        "spoilt",
        "stood",
        "struck",
        "taken",
        "told",
        "thrown",
        "understood",
        "woken",
        "won",
        "worn",
        "written",
    ]
)
VERBS: Final = frozenset({"cut", "feed", "find", "hit", "need", "proceed", "put", "read", "seed"})
PARTICLES: Final = frozenset(
    [
        "again",
        "at",
        "away",
        "back",
        "by",
        "down",
        "for",
        "from",
        "in",
        "of",
        "off",
        "on",
        "once",
        "out",
        "over",
        "to",
        "together",
        "up",
    ]
)
VALUES: Final = ("property", "cached_property", "fixture", "override")  # nouns, or named elsewhere


def is_bare_participle(name: str) -> bool:
    """Whether a name is a participle alone, or one with particles: ``told``, ``taken_back``."""
    first, *rest = name.split("_")
    participle = first.endswith("ed") or first in IRREGULAR
    return participle and first not in VERBS and PARTICLES.issuperset(rest)


def participles(root: Path) -> Iterator[tuple[str, str]]:
    """Every function that is named so, private or of a test too, with where it stands."""
    for package in PACKAGES:
        for path in (root / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    marks = [ast.unparse(each) for each in node.decorator_list]
                    is_value = any(word in mark for mark in marks for word in VALUES)
                    if is_bare_participle(node.name.lstrip("_")) and not is_value:
                        near = path.relative_to(root).as_posix()
                        yield node.name, f"{near}:{node.lineno}"
