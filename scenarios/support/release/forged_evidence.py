"""Evidence as a forger would make it: chains and sums are right, only the statements are false.

It uses the records' own format, and no rule of a judge.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from pytest_spec11.canon import canonical, digest
from pytest_spec11.evidence import bundle, documents
from pytest_spec11.judge import Case, Terms, Verdict
from pytest_spec11.requirements.policy import load
from pytest_spec11.verdict.signoff import Signoff
from pytest_spec11.verdict.weakenings import Weakenings
from scenarios.support.release.throwaway_release import LANES, ThrowawayRelease

ZERO: Final = "0" * 64
Line = dict[str, Any]


def rewritten(path: Path, change: Callable[[list[Line]], list[Line]]) -> None:
    """Rewrite the journal with other records, and with right links and seal."""
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    head, made = ZERO, b""
    for seq, each in enumerate(change(lines)):
        line = {**each, "seq": seq, "prev": head}
        if line["kind"] == "seal":
            line["data"] = {**line["data"], "count": seq, "head": head}
            line["data"].pop("sum", None)
            line["data"]["sum"] = digest(line)
        content = canonical(line) + b"\n"
        head, made = sha256(content).hexdigest(), made + content
    path.write_bytes(made)


def reseal_document(path: Path, kind: str, **changes: Any) -> None:
    """Rewrite the document with other values and a right sum."""
    document = json.loads(path.read_bytes())
    del document["sum"]
    documents.write(path, kind, {**document, **changes})


def rebound(case: ThrowawayRelease, **changes: Any) -> None:
    """Change the binding of all evidence, and write a sign-off that says GO to it."""

    def of_journal(lines: list[Line]) -> list[Line]:
        start = lines[0]["data"]
        start["binding"] = start["binding"] | changes
        return lines

    rewritten(case.journal, of_journal)
    for path, kind in papers(case):
        binding = json.loads(path.read_bytes())["binding"]
        reseal_document(path, kind, binding=binding | changes)
    sign_off(case, **changes)


def move_in_time(case: ThrowawayRelease, by_ms: int) -> None:
    """Move all evidence in time, with a sign-off of that time that says GO to it."""

    def of_journal(lines: list[Line]) -> list[Line]:
        return [{**line, "at": line["at"] + by_ms} for line in lines]

    rewritten(case.journal, of_journal)
    for path, kind in papers(case):
        reseal_document(path, kind, **_times(json.loads(path.read_bytes()), by_ms))
    sign_off(case)


def _times(document: Mapping[str, Any], by_ms: int) -> dict[str, Any]:
    ends = {name: document[name] + by_ms for name in ("startedAt", "finishedAt")}
    if "steps" not in document:
        return ends
    return ends | {"steps": [{**each, **_times(each, by_ms)} for each in document["steps"]]}


def papers(case: ThrowawayRelease) -> list[tuple[Path, str]]:
    """Every document of a rehearsal, with its kind."""
    return [*((case.lane(name), "lane") for name in LANES), (case.kills, "kills")]


def sign_off(case: ThrowawayRelease, **changes: Any) -> None:
    """Write a sign-off that says GO to the present evidence, without asking a judge."""
    seen = bundle.load(case.bundles)
    ends = [leaf.reading.times.last for leaf in seen.leaves if leaf.reading.times]
    ends += [each.data["finishedAt"] for each in seen.documents if not each.damage]
    here = {**case.here, **changes}
    terms = Terms(now_ms=max(ends), here=here, scope=str(here["scope"]), policy=load(case.tree))
    judged = Case(case.catalogue, seen, terms)
    proven = Verdict("GO", (), dict.fromkeys(case.catalogue.claims, "PASS"), judged.needed)
    made = Signoff(judged, proven, Weakenings("", ()))
    documents.write(case.signoff, "signoff", made.document())


def edit_signoff(case: ThrowawayRelease, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the sign-off and give it a right sum, without checking its schema."""
    document = json.loads(case.signoff.read_bytes())
    del document["sum"]
    change(document)
    case.signoff.write_bytes(canonical({**document, "sum": digest(document)}) + b"\n")
