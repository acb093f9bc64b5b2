"""Catalogues to judge by, and what a run records that read committed files alone."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

SCOPES = ["signoff", "live-smoke"]
DOCUMENT: dict[str, Any] = {
    "scenarios": [
        {
            "id": "S1",
            "title": "First",
            "claims": [
                {"id": "S1.a", "text": "a", "sources": ["api", "sql:app"], "scopes": SCOPES},
                {"id": "S1.b", "text": "b", "sources": ["api"], "scopes": SCOPES},
                {
                    "id": "S1.k",
                    "text": "k",
                    "sources": ["api"],
                    "scopes": SCOPES,
                    "mandatory": False,
                },
            ],
        },
        {
            "id": "S2",
            "title": "Second",
            "claims": [
                {"id": "S2.live", "text": "l", "sources": ["api"], "scopes": ["live-smoke"]}
            ],
        },
    ]
}
# What a process records that read committed files alone.
COMMITTED: dict[str, Any] = {
    "heard": True,
    "faults": [],
    "foreign": [],
    "plugins": [],
    "python": {},
    "target": {"processes": [], "foreign": [], "isOfTree": True, "asked": "", "told": ""},
}
# The same, with lanes of the project's own, saboteurs, and a posture that is asked for.
STRICT = deepcopy(DOCUMENT) | {
    "lanes": ["quick", "check", "full", "policy"],
    "posture": [
        {"key": "strict", "scopes": ["signoff"], "values": ["true"], "code": "queue_partition_off"},
        {"key": "oc", "scopes": ["signoff"], "values": ["live"], "code": "oc_mode"},
    ],
    "tiles": [
        {"id": "proof-s1", "claims": ["S1.a", "S1.b", "S1.k"]},
        {"id": "proof-s2", "claims": ["S2.live"]},
        {"id": "proof-strength", "claims": ["S1.b"], "kills": True},
    ],
}
STRICT["scenarios"][0]["claims"][0]["saboteurs"] = ["http.lie", "sql.lie"]
STRICT["scenarios"][0]["claims"][1]["saboteurs"] = ["http.lie"]
