"""CTRF: the common test report format, one JSON document."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from reports.dossier import VERDICT, Dossier, Test

STATUS: Final = {"passed": "passed", "failed": "failed", "error": "failed", "xpassed": "failed"}


def document(dossier: Dossier) -> dict[str, Any]:
    """The report; the verdict is its last test."""
    tests = [*map(_test, dossier.tests), _verdict(dossier)]
    counts = Counter(each["status"] for each in tests)
    times = [at for test in dossier.tests for at in (test.started_at, test.ended_at) if at]
    return {
        "reportFormat": "CTRF",
        "specVersion": "0.0.0",
        "results": {
            "tool": {"name": "spec11"},
            "summary": {
                "tests": len(tests),
                "passed": counts["passed"],
                "failed": counts["failed"],
                "pending": counts["pending"],
                "skipped": counts["skipped"],
                "other": counts["other"],
                "start": min(times, default=0),
                "stop": max(times, default=0),
            },
            "tests": tests,
        },
    }


def _test(test: Test) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": test.name,
        "status": STATUS.get(test.outcome, "skipped"),
        "duration": test.duration_ms,
        "start": test.started_at,
        "stop": test.ended_at,
        "filePath": test.file,
        "rawStatus": test.outcome,
        "tags": [*test.claims],
    }
    return found | ({"message": test.message} if test.message else {})


def _verdict(dossier: Dossier) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": VERDICT,
        "status": "passed" if dossier.go else "failed",
        "duration": 0,
        "rawStatus": "GO" if dossier.go else "NO_GO",
    }
    return found | ({"message": dossier.lines[0]} if dossier.reasons else {})
