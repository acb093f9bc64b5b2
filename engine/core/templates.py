"""Which sandbox a task needs, by what it depends on and not by what it is called (B66)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.core.canon import Json, digest

PLAIN: Final = "plain"  # the sandbox of whoever asks for none
NAME: Final = "sandbox"
LONGEST: Final = 256
MOST: Final = 200


@dataclass(frozen=True, slots=True)
class Environment:
    """What a sandbox is made of: a base, and the dependencies in it, in no order."""

    base: str
    dependencies: frozenset[str]

    @property
    def document(self) -> dict[str, Json]:
        """It, as it is stored."""
        return {"base": self.base, "dependencies": [*sorted(self.dependencies)]}

    @property
    def deps_hash(self) -> str:
        """The same for the same base and dependencies, whoever lists them and how."""
        return digest(self.document)


def environment(constraints: Mapping[str, Json]) -> Environment:
    """The sandbox that an intent's constraints ask for. Raises ValueError."""
    given: Any = constraints.get(NAME, {})
    if not isinstance(given, dict) or given.keys() - {"base", "dependencies"}:
        raise ValueError("constraints.sandbox must be {base?, dependencies?}")
    base, dependencies = given.get("base", PLAIN), given.get("dependencies", [])
    if not isinstance(dependencies, list) or len(dependencies) > MOST:
        raise ValueError(f"constraints.sandbox.dependencies must be at most {MOST} texts")
    if not all(_is_name(each) for each in (base, *dependencies)):
        raise ValueError(f"constraints.sandbox: names have 1..{LONGEST} characters")
    return Environment(base, frozenset(dependencies))


def _is_name(given: Any) -> bool:
    return isinstance(given, str) and bool(given.strip()) and len(given) <= LONGEST


def key(recipe_id: str, recipe_v: str, deps_hash: str) -> str:
    """The name of a template: the recipe version that it is for, and what is in it."""
    return f"{recipe_id}:{recipe_v}:{deps_hash}"
