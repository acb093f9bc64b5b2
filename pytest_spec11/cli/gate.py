"""``spec11 gate``: the verdict on bundles of evidence, for the work tree it is called in."""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pytest_spec11 import binding, bundle, catalogue
from pytest_spec11.errors import BadInput
from pytest_spec11.judge import Verdict, judge
from pytest_spec11.reasons import Reason
from pytest_spec11.summary import Summary

_SUBJECTS = 3


def add(commands: Any) -> None:
    """Declare the command and its options."""
    made = commands.add_parser("gate", help="judge bundles of evidence", allow_abbrev=False)
    made.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    made.add_argument("--scope", default="signoff", help="what is to be signed off")
    made.add_argument("--root", type=Path, default=Path(), help="the work tree to be released")
    made.add_argument("--app-version", default="", help="version to be released, if known")
    made.add_argument("--catalogue", type=Path, help="claims; default: the packaged ones")
    made.add_argument("--json", action="store_true", help="print the verdict as JSON")
    made.add_argument("--out", type=Path, help="write the verdict as JSON to this file")
    made.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 for GO, 1 for NO_GO."""
    if not arguments.root.is_dir():
        raise BadInput(f"{arguments.root}: not a directory")
    _forget(arguments.out)
    claims = catalogue.load(arguments.catalogue)
    evidence = bundle.load(arguments.bundles)
    here = binding.measure(arguments.root, arguments.app_version, arguments.scope, claims.digest)
    now_ms = time.time_ns() // 1_000_000
    verdict = judge(claims, evidence, now_ms, here, arguments.scope)
    document = json.dumps(_document(verdict, here, now_ms), indent=1, sort_keys=True)
    if arguments.out:
        _keep(arguments.out, document)
    summary = Summary(claims, verdict, arguments.scope)
    print(document if arguments.json else "\n".join(_text(summary, evidence.scenarios)))
    return 0 if verdict.verdict == "GO" else 1


def _forget(out: Path | None) -> None:
    """Nothing: an older verdict must not survive a run that gives none."""
    try:
        if out:
            out.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"--out {out}: {error}") from error


def _keep(out: Path, document: str) -> None:
    try:
        out.write_text(document + "\n", encoding="utf-8")
    except OSError as error:
        raise BadInput(f"--out {out}: {error}") from error


def _document(verdict: Verdict, here: dict[str, str | bool], now_ms: int) -> dict[str, object]:
    return {
        "verdict": verdict.verdict,
        "judgedAt": now_ms,
        "binding": here,
        "reasons": [asdict(item) for item in verdict.reasons],
        "claims": dict(verdict.claims),
    }


def _text(summary: Summary, ran: Collection[str]) -> Iterator[str]:
    yield from summary.scenarios(ran)
    groups: dict[str, list[Reason]] = defaultdict(list)
    for item in summary.verdict.reasons:
        groups[item.code].append(item)
    for code, items in groups.items():
        subjects = list(dict.fromkeys(item.subject for item in items))
        more = " …" if len(subjects) > _SUBJECTS else ""
        yield f"{code}  {len(items)}  {', '.join(subjects[:_SUBJECTS])}{more}"
        yield f"    {items[0].text}"
        yield f"    {items[0].remedy}  {items[0].command}"
    yield from summary.conclusion()
