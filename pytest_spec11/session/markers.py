"""The claims that a test's markers name, checked against the catalogue."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from pytest_spec11.requirements.catalogue import Catalogue

SCENARIO: Final = re.compile(r"S\d\d")
CLAIM: Final = "claim"
_NAMED: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def is_scenario(name: str) -> bool:
    """Whether a marker of that name names a scenario."""
    return SCENARIO.fullmatch(name) is not None


def is_marked(node: pytest.Item | pytest.Collector) -> bool:
    """Whether a test is marked with a scenario or a claim."""
    return any(mark.name == CLAIM or is_scenario(mark.name) for mark in node.iter_markers())


def scenarios_of(node: pytest.Item | pytest.Collector) -> tuple[str, ...]:
    """The scenarios that a test's markers name, sorted."""
    return tuple(sorted({mark.name for mark in node.iter_markers() if is_scenario(mark.name)}))


def claims_of(node: pytest.Item | pytest.Collector) -> tuple[str, ...]:
    """The claims that a test's markers name, sorted; without arguments that are not strings."""
    marked = (name for mark in node.iter_markers(CLAIM) for name in mark.args)
    return tuple(sorted({name for name in marked if isinstance(name, str)}))


def faults_of(item: pytest.Item, known: Catalogue) -> Iterator[str]:
    """The faults of the markers of ``item``, one sentence each."""
    for mark in item.iter_markers(CLAIM):
        if len(mark.args) != 1 or mark.kwargs or not isinstance(mark.args[0], str):
            yield f"{item.nodeid}: claim takes one claim id, as in claim('S02.replay-any-encoding')"
    scenarios = scenarios_of(item)
    for claim in claims_of(item):
        if known.find(claim) is None:
            near = known.closest(claim)
            yield f"{item.nodeid}: no claim {claim!r} in the catalogue" + (
                f"; did you mean {near!r}?" if near else ""
            )
        elif (scenario := claim.partition(".")[0]) not in scenarios:
            marked = ", ".join(scenarios) or "none"
            yield f"{item.nodeid}: claim {claim!r} needs marker {scenario}; the test has {marked}"


def find_shadowed_tests(path: Path) -> Iterator[str]:
    """Tests of a file that never run because a later one has the same name; one sentence each.

    It finds nothing when the file is not Python source.
    """
    try:
        source = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    bodies = {"": source.body}
    bodies |= {
        f"{each.name}::": each.body for each in source.body if isinstance(each, ast.ClassDef)
    }
    for owner, body in bodies.items():
        lines: dict[str, int] = {}
        for each in body:
            if isinstance(each, _NAMED) and each.name.lower().startswith("test"):
                if each.name in lines:
                    yield (
                        f"{path.name}::{owner}{each.name}: line {each.lineno} takes the name of the"
                        f" test in line {lines[each.name]}, which never runs"
                    )
                lines[each.name] = each.lineno
