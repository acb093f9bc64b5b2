"""Answers of a live server, recorded as fixtures for replay (D34)."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from engine.core.canon import digest
from engine.ports.oc import Agents, Answer, Question


@dataclass(frozen=True, slots=True)
class Record:
    """The answers of ``live``; it writes each below ``directory`` before it returns it."""

    live: Agents
    directory: Path

    async def ask(self, question: Question) -> Answer:
        """The live answer, after it was recorded. Raises what ``live`` raises."""
        answer = await self.live.ask(question)
        await asyncio.to_thread(self._keep, question, answer)
        return answer

    def _keep(self, question: Question, answer: Answer) -> None:
        asked = digest(question.prompt)
        document = {
            "schemaVersion": 1,
            "match": {
                "agent": question.agent,
                "recipe": {"id": question.recipe_id, "v": question.recipe_v},
                "inputs": dict(question.inputs),
                "prompt": asked,
            },
            "answer": {"structured": answer.structured, "tools": [*answer.tools]},
            "recorded": {"servedBy": answer.served_by, "server": answer.server_version},
        }
        self.directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        name = self.directory / f"{question.agent}-{asked[:32]}.json"
        handle, staged = tempfile.mkstemp(dir=self.directory, suffix=".staged")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(staged).replace(name)
