"""What a controlled run has to do; to the tests of that run it looks like any other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_spec11.mutants.mutant import Mutant


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """``out``: the file for what was found. ``mutants``: one for each test that gets one, by node.

    ``nodes``: the tests to run, None: all. ``saboteurs``: faults of the team to arm. ``wait_s``:
    the longest wait for a condition in a test, by node.
    """

    out: str
    mutants: Mapping[str, Mutant] = field(default_factory=dict)
    nodes: frozenset[str] | None = None
    saboteurs: tuple[str, ...] = ()
    wait_s: Mapping[str, float] = field(default_factory=dict)

    def dumps(self) -> bytes:
        """One JSON object; :meth:`loads` reads it back."""
        said: dict[str, Any] = {
            "out": self.out,
            "mutants": {node: each.to_json() for node, each in self.mutants.items()},
            "nodes": None if self.nodes is None else sorted(self.nodes),
            "saboteurs": self.saboteurs,
            "wait_s": dict(self.wait_s),
        }
        return json.dumps(said).encode()

    @classmethod
    def loads(cls, text: bytes) -> Orders:
        """The orders that :meth:`dumps` wrote."""
        said = json.loads(text)
        return cls(
            out=said["out"],
            mutants={node: Mutant.from_json(each) for node, each in said["mutants"].items()},
            nodes=None if said["nodes"] is None else frozenset(said["nodes"]),
            saboteurs=tuple(said["saboteurs"]),
            wait_s=said["wait_s"],
        )

    def takes(self, node: str) -> bool:
        """Whether the test is to be run."""
        return self.nodes is None or node in self.nodes
