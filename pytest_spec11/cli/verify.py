"""``spec11 verify``: whether a bundle is what was signed off; offline, from its bytes alone."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pytest_spec11.verify import Expectation, Report, verify

_STATUS: Final = {"GO": 0, "NO_GO": 1, "UNKNOWN": 2}
_SHOWN: Final = 20


def add(commands: Any) -> None:
    """Declare the command and its options."""
    made = commands.add_parser("verify", help="check a bundle offline", allow_abbrev=False)
    made.add_argument(
        "bundle", type=Path, metavar="BUNDLE", help="a directory, or a file from export"
    )
    made.add_argument(
        "--policy", type=Path, help="trust only this spec11.toml: its keys, version and claims"
    )
    made.add_argument("--commit", default="", help="expect this commit; 7 digits or more")
    made.add_argument("--app-version", default="", help="expect this version")
    made.add_argument("--max-age-h", type=_hours, help="expect a verdict of the last hours")
    made.add_argument("--json", action="store_true", help="print the report as JSON")
    made.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 for a GO that holds, 1 for NO_GO, 2 for whole evidence without a sign-off."""
    expected = Expectation(
        commit=arguments.commit,
        app_version=arguments.app_version,
        max_age_h=arguments.max_age_h,
    )
    report = verify(arguments.bundle, arguments.policy, expected)
    print(json.dumps(asdict(report), indent=1) if arguments.json else "\n".join(_text(report)))
    return _STATUS[report.verdict]


def _hours(text: str) -> float:
    hours = float(text)
    if not math.isfinite(hours) or hours <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of hours above 0")
    return hours


def _release(report: Report) -> Iterator[str]:
    """What was released, and of when the verdict is."""
    at = datetime.fromtimestamp(report.judged_at / 1000, UTC).isoformat(timespec="seconds")
    yield f"commit {report.commit or 'none'}, tree {report.tree or 'none'}"
    yield f"version {report.app_version or 'none'}, scope {report.scope}, judged {at}"
    yield from (f"weaker than the merge base: {each}" for each in report.weakenings)


def _text(report: Report) -> Iterator[str]:
    for each in report.findings[:_SHOWN]:
        yield f"{each.code}  {each.where}: {each.text}"
    if len(report.findings) > _SHOWN:
        yield f"… {len(report.findings) - _SHOWN} more; --json lists them"
    if report.judged_at:
        yield from _release(report)
    yield f"{report.records} records in {report.files} files, root {report.root}"
    if report.kept_runs:
        yield f"seen green in {report.kept_green} of {report.kept_runs} kept runs of this tree"
    if report.signers:
        yield f"signed by {', '.join(each[:12] for each in report.signers)}, by {report.trust}"
    yield f"{report.verdict}{' of a rehearsal' if report.rehearsal else ''}: {_why(report)}"


def _why(report: Report) -> str:
    if report.findings:
        return "the bundle does not have what GO needs"
    if report.verdict == "UNKNOWN":
        return "every record is whole, but there is no sign-off to compare with"
    word = "the sign-off says so, and every record and signature agrees"
    return word if report.verdict == "GO" else f"signed off as such; {word}"
