"""Answers from recorded fixtures, which are JSON files (D34).

A fixture is ``{"schemaVersion": 1, "match": {"agent", "recipe"?: {"id", "v"}, "inputs"?: {…},
"prompt"?: sha256}, "answer": {"structured", "tools"}}``. It answers a question if the agent,
recipe, inputs and prompt of the question include all that ``match`` names. If several fit, the one
for exactly this prompt wins, then the one that names most.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from engine.core.canon import digest
from engine.errors import RunFailed
from engine.ports.oc import Answer, Question


@dataclass(frozen=True, slots=True)
class Fixture:
    """One recorded answer, and the digest of its file."""

    match: dict[str, Any]
    answer: dict[str, Any]
    digest: str

    @property
    def weight(self) -> tuple[bool, int]:
        """How much its ``match`` names; the fixture that names more wins."""
        named = ("recipe" in self.match) + len(self.match.get("inputs", {}))
        return "prompt" in self.match, named

    def fits(self, question: Question) -> bool:
        """Whether its ``match`` fits the question."""
        recipe = {"id": question.recipe_id, "v": question.recipe_v}
        inputs = self.match.get("inputs", {})
        return bool(
            self.match["agent"] == question.agent
            and self.match.get("recipe", recipe) == recipe
            and self.match.get("prompt") in {None, digest(question.prompt)}
            and inputs == {name: question.inputs.get(name) for name in inputs}
        )


class Replay:
    """The fixtures below ``directories``; a changed file is read again."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._directories = directories
        self._known: dict[Path, tuple[tuple[int, int], Fixture]] = {}

    async def ask(self, question: Question) -> Answer:
        """The recorded answer. Raises RunFailed if no fixture fits or two fit equally well."""
        fitting = [each for each in self._fixtures() if each.fits(question)]
        most = max((each.weight for each in fitting), default=(False, 0))
        best = [each for each in fitting if each.weight == most]
        if len(best) != 1:
            recipe = f"{question.recipe_id}@{question.recipe_v}"
            raise RunFailed(f"oc_replay: {len(best)} fixtures for {question.agent} of {recipe}")
        return Answer(
            structured=best[0].answer["structured"],
            tools=tuple(best[0].answer["tools"]),
            served_by=f"replay:{best[0].digest}",
        )

    def _fixtures(self) -> Iterator[Fixture]:
        for directory in self._directories:
            for path in sorted(directory.glob("*.json")):
                yield self._read(path)

    def _read(self, path: Path) -> Fixture:
        seen = path.stat()
        state = (seen.st_mtime_ns, seen.st_size)
        known = self._known.get(path)
        if known is None or known[0] != state:
            known = self._known[path] = (state, _parse_fixture(path))
        return known[1]


def _parse_fixture(path: Path) -> Fixture:
    try:
        raw = path.read_bytes()
        document = json.loads(raw)
        match, answer = document["match"], document["answer"]
        _ = match["agent"], answer["structured"], answer["tools"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFailed(f"oc_replay: fixture {path.name} cannot be read: {error!r}") from error
    return Fixture(match, answer, sha256(raw).hexdigest())
