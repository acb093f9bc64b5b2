"""Unknown paths and queries out of bounds, from the engine's own inventory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from scenarios.support.contract.inventory import METHODS, Operation
from scenarios.support.probes.subjects import Subject

# The bounds of queries by path and name, from the contract and not from the document.
BOUNDS: Final = {
    ("/api/hitl/inbox", "limit"): (1, 200),
    ("/api/ops/queue-depth", "limit"): (1, 200),
    ("/api/ops/wf", "limit"): (1, 200),
    ("/api/runs/{wid}/interactions", "limit"): (1, 500),
    ("/api/runs/{wid}/gates/{gateKey}", "timeoutS"): (0, 30),
}
NO_WORDS: Final = {
    ("/api/ops/wf", "status"): ("", "bogus", "pending", "PENDING ", "\0"),
    ("/api/ops/wf", "name"): ("x" * 257, "\0"),
    ("/crashdemo", "wf"): ("", "x" * 257, "a\0b"),
    ("/marks", "wf"): ("", "x" * 257, "a\0b"),
}
OF_A_RUN: Final = "/api/runs/{wid}"
OF_A_GATE: Final = "/api/runs/{wid}/gates/{gateKey}"
NOBODY: Final = (
    *("ih_" + "0" * 64, "run_" + "0" * 32, "ih_", "x", "ÄÖ ✓", "%"),
    *("a/b", "../recipes"),
)
NO_PATHS: Final = (
    *(
        "/index.html",
        "/api",
        "/api/",
        "/api/run/",
        "/api/runs/",
        "/api/ops",
        "/api/nothing",
        "/API/run",
    ),
    *("/api/runs/x/steps/more", "/api//run", "/api/artifacts", "/api/artifacts/", "/api/run%2F"),
    *("/api/runs/%00", "/api/runs/%ff/steps", "/openapi.json/", "/healthz/more"),
)
NO_NUMBERS: Final = ("0.5", "1.5", "1e0", "abc", "", "+1", " 1", "null", "9" * 30)
NO_KEYS: Final = ("G", "Approve-plan", "approve plan", "a/b", "ä", "g" * 129, "a.b", "{}")


def unknown_runs(known: Sequence[Operation]) -> list[tuple[Operation, str]]:
    """Every operation on a run, for every unknown run."""
    return [
        (each, each.at(wid=wid, gateKey="approve-plan-0"))
        for each in known
        if each.path.startswith(OF_A_RUN)
        for wid in NOBODY
    ]


def no_routes(known: Sequence[Operation]) -> list[tuple[str, str]]:
    """Unknown paths, and known paths with each method that they do not have."""
    served = {(each.method, each.path) for each in known}
    paths = sorted({path for _, path in served})
    wrong = [
        (method, path.replace("{", "").replace("}", ""))
        for path in paths
        for method in METHODS
        if (method, path) not in served
    ]
    assert len(wrong) == len(paths) * len(METHODS) - len(served)
    return [*wrong, *((method, path) for path in NO_PATHS for method in ("GET", "POST", "DELETE"))]


def off_bounds(each: Operation, about: Subject) -> Iterator[tuple[str, str]]:
    """Queries that the operation does not allow, each with the JSON pointer of what is wrong."""
    right = {name: about.required_value(name) for name in each.needed}
    yield urlencode({**right, "bogus": 1}), "/bogus"
    for name in each.query:
        for value in _misfits(each.path, name):
            yield urlencode({**right, name: value}), f"/{name}"
        yield urlencode([*right.items(), (name, 1), (name, 1)]), ""
    for name in each.needed:
        yield urlencode({other: right[other] for other in right if other != name}), f"/{name}"


def _misfits(path: str, name: str) -> tuple[Any, ...]:
    if (path, name) in NO_WORDS:
        return NO_WORDS[path, name]
    least, most = BOUNDS[path, name]
    return (least - 1, most + 1, *NO_NUMBERS)
