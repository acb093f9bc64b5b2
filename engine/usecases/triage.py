"""Triage: finds where the trouble of a run shows first, in a fixed order from health to logs.

Each level trusts no level above it. Operators rely on the order, so it never changes.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from engine.core import packs
from engine.core.cards import Card, Source, Verdict
from engine.core.packs import Unreadable
from engine.core.redaction import redact
from engine.core.runs import Status
from engine.errors import EngineError
from engine.ports.remote import Answer, Remote
from engine.usecases import packs as usecases

SEVERE: Final = re.compile(r"^(?:[\w-]+ +\| )?(?:ERROR|CRITICAL):.*", re.MULTILINE)


class Outcome(StrEnum):
    """The result of one level."""

    OK = "ok"
    FAULT = "fault"
    NOT_GIVEN = "not given"
    NOT_REACHED = "not looked at"


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the order, its result, and the reason."""

    name: str
    outcome: Outcome
    why: str | None = None


@dataclass(frozen=True)
class Scene:
    """A run, and where to read it. ``dsn`` raises Misconfigured if there is no database."""

    api: Remote
    dsn: Callable[[], str]
    wid: str
    logs: Sequence[Path]
    secrets: Collection[str]

    @cached_property
    def cards(self) -> list[Card]:
        """The run's cards from SQL alone. Raises Missing, Misconfigured, Unreachable."""
        return asyncio.run(usecases.load_cards(self.dsn(), self.wid, self.secrets))

    def ask_api(self, path: str) -> Answer:
        """The API's answer about the run. Raises Unreachable."""
        return self.api.ask("GET", f"/api/runs/{quote(self.wid, safe='')}{path}")


def levels(scene: Scene) -> Iterator[Level]:
    """Every level in order; levels after the first fault are not checked."""
    is_faulty = False
    for name, look in ORDER.items():
        if is_faulty:
            yield Level(name, Outcome.NOT_REACHED)
        elif look is _logs and not scene.logs:
            yield Level(name, Outcome.NOT_GIVEN)
        else:
            why = _why(look, scene)
            is_faulty = why is not None
            yield Level(name, Outcome.FAULT if is_faulty else Outcome.OK, why)


def _why(look: Callable[[Scene], str | None], scene: Scene) -> str | None:
    """The fault at one level, in one line without secrets; None if there is none."""
    try:
        found = look(scene)
    except EngineError as error:
        found = str(error)
    clean = redact(found, scene.secrets)[0]
    return None if clean is None else " ".join(str(clean).split())


def _healthz(scene: Scene) -> str | None:
    answer = scene.api.ask("GET", "/healthz")
    match answer.body:
        case {"ok": True, "reasons": [], "warnings": []} if answer.status == HTTPStatus.OK:
            return None
        case {"reasons": list(reasons), "warnings": list(warnings)} if reasons or warnings:
            return "; ".join(map(str, (*reasons, *warnings)))
        case _:
            return _refusal(answer)


def _run(scene: Scene) -> str | None:
    answer = scene.ask_api("")
    match answer.body:
        case {"workflowID": wid, "runId": run_id, "status": status, "error": error} if (
            answer.status == HTTPStatus.OK and scene.wid in {wid, run_id}
        ):
            return f"{status}: {json.dumps(error)}" if status == Status.ERROR else None
        case _:
            return _refusal(answer)


def _refusal(answer: Answer) -> str:
    said = answer.body.get("error") if isinstance(answer.body, dict) else None
    return f"{answer.status} {said or 'an answer of no such API'}"


def _app_sql(scene: Scene) -> str | None:
    return _find_failure(scene.cards, {Source.SQL, Source.POLICY})


def _engine_sql(scene: Scene) -> str | None:
    return _find_failure(scene.cards, {Source.DBOS})


def _find_failure(found: Sequence[Card], sources: Collection[Source]) -> str | None:
    failed = [card for card in found if card.source in sources and card.verdict is Verdict.FAIL]
    return f"{failed[0].id}: {failed[0].evidence}" if failed else None


def _repro(scene: Scene) -> str | None:
    answer = scene.ask_api("/repro")
    if answer.status != HTTPStatus.OK:
        return _refusal(answer)
    try:
        found = packs.check_pack(answer.content)
    except Unreadable as error:
        return str(error)
    meta: dict[str, Any] = answer.body["meta"]
    if scene.wid not in {meta.get("workflowId"), meta.get("runId")}:
        return f"a pack of another run: {meta.get('workflowId')}"
    return found.differs[0] if found.differs else None


def _logs(scene: Scene) -> str | None:
    for path in scene.logs:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            return f"{path}: {error.strerror}"
        if severe := SEVERE.search(text):
            return f"{path}: {severe[0]}"
    return None


ORDER: Final[dict[str, Callable[[Scene], str | None]]] = {
    "healthz": _healthz,
    "run API": _run,
    "app SQL": _app_sql,
    "engine SQL": _engine_sql,
    "repro pack": _repro,
    "logs": _logs,
}
