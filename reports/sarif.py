"""SARIF 2.1.0: every reason against GO as a result, for the code-scanning page of a forge."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from pytest_spec11.canon import digest
from pytest_spec11.evidence.binding import plugin_version
from pytest_spec11.judge.reasons import Reason
from pytest_spec11.requirements.policy import FILE
from reports.dossier import Dossier

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT: Final = "primaryLocationLineHash"  # by which a forge knows an alert again


def document(dossier: Dossier) -> dict[str, Any]:
    """The log of one run; without a reason it has no result."""
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "spec11",
                        "version": plugin_version(),
                        "rules": [
                            {
                                "id": code,
                                "shortDescription": {"text": code},
                                "fullDescription": {"text": items[0].remedy},
                                "help": {"text": items[0].command},
                            }
                            for code, items in dossier.groups
                        ],
                    }
                },
                "results": [
                    _result(each, _file(dossier, each.subject)) for each in dossier.reasons
                ],
            }
        ],
    }


def _result(reason: Reason, file: str) -> dict[str, Any]:
    return {
        "ruleId": reason.code,
        "level": "error",
        "message": {"text": f"{reason.subject}: {reason.text}"},
        "locations": [
            {"physicalLocation": {"artifactLocation": {"uri": file}, "region": {"startLine": 1}}}
        ],
        "partialFingerprints": {FINGERPRINT: f"{digest([reason.code, reason.subject])[:16]}:1"},
    }


def _file(dossier: Dossier, subject: str) -> str:
    """Where a person looks first: the test, the first of a claim, else the policy that asks.

    A forge drops a result without a place, and an alert that is dropped looks like none.
    """
    file, is_node, _ = subject.partition("::")
    if is_node:
        return quote(file)
    tests = dossier.by_claim.get(subject)
    return quote(tests[0].file) if tests else FILE
