"""SARIF 2.1.0: every reason against GO as a result, for the code-scanning page of a forge."""

from __future__ import annotations

from typing import Any, Final

from pytest_spec11.binding import plugin_version
from pytest_spec11.reasons import Reason
from reports.dossier import Dossier

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


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
                                "shortDescription": {"text": items[0].remedy},
                                "help": {"text": items[0].command},
                            }
                            for code, items in dossier.groups
                        ],
                    }
                },
                "results": [_result(each) for each in dossier.reasons],
            }
        ],
    }


def _result(reason: Reason) -> dict[str, Any]:
    file, is_node, _ = reason.subject.partition("::")
    location = {"physicalLocation": {"artifactLocation": {"uri": file}}}
    found: dict[str, Any] = {
        "ruleId": reason.code,
        "level": "error",
        "message": {"text": f"{reason.subject}: {reason.text}"},
    }
    return found | ({"locations": [location]} if is_node else {})
