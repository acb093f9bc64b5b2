"""Allure results: one JSON file a test, by scenario and claim, and one for the verdict."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from reports.dossier import VERDICT, Dossier, Test

STATUS: Final = {"passed": "passed", "failed": "failed", "error": "broken", "xpassed": "failed"}
OURS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:spec11:report")


def files(dossier: Dossier) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and content of every file. The same bundle gives the same names."""
    titles = {chapter.id: f"{chapter.id} {chapter.title}" for chapter in dossier.chapters}
    for number, test in enumerate(dossier.tests):
        yield _name_result(_test(test, number, titles))
    yield _name_result(_verdict(dossier))


def find_stale(folder: Path) -> Iterator[Path]:
    """The results in ``folder`` that an earlier call wrote, and no other tool."""
    for path in folder.glob("*-result.json"):
        with suppress(ValueError):  # another tool's own name
            name = path.name.removesuffix("-result.json")
            if uuid.UUID(name).version == OURS.version:
                yield path


def _name_result(result: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return f"{result['uuid']}-result.json", result


def _test(test: Test, number: int, titles: dict[str, str]) -> dict[str, Any]:
    scenarios = dict.fromkeys(claim.partition(".")[0] for claim in test.claims)
    labels = [{"name": "suite", "value": test.file}]
    labels += [{"name": "epic", "value": titles.get(each, each)} for each in scenarios]
    labels += [{"name": "story", "value": claim} for claim in test.claims]
    return {
        "uuid": str(uuid.uuid5(OURS, f"{number} {test.node}")),
        "historyId": uuid.uuid5(OURS, test.node).hex,
        "name": test.name,
        "fullName": test.node,
        "status": STATUS.get(test.outcome, "skipped"),
        "statusDetails": {"message": test.message} if test.message else {},
        "stage": "finished",
        "start": test.started_at,
        "stop": test.ended_at,
        "labels": labels,
    }


def _verdict(dossier: Dossier) -> dict[str, Any]:
    lines = dossier.lines
    at = dossier.document["judgedAt"]
    return {
        "uuid": str(uuid.uuid5(OURS, "verdict")),
        "historyId": uuid.uuid5(OURS, VERDICT).hex,
        "name": VERDICT,
        "fullName": "spec11 gate",
        "status": "passed" if dossier.go else "failed",
        "statusDetails": {"message": lines[0], "trace": "\n".join(lines)} if lines else {},
        "stage": "finished",
        "start": at,
        "stop": at,
        "labels": [{"name": "suite", "value": "spec11 gate"}],
    }
