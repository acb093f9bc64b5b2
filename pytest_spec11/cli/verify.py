"""``spec11 verify``: whether a bundle is what was signed off; offline, from its bytes alone."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from pytest_spec11.verify import Report, verify

_STATUS: Final = {"GO": 0, "NO_GO": 1, "UNKNOWN": 2}
_SHOWN: Final = 20


def add(commands: Any) -> None:
    """Declare the command and its options."""
    made = commands.add_parser("verify", help="check a bundle offline", allow_abbrev=False)
    made.add_argument(
        "bundle", type=Path, metavar="BUNDLE", help="a directory, or a file from export"
    )
    made.add_argument("--policy", type=Path, help="trust only the keys of this spec11.toml")
    made.add_argument("--json", action="store_true", help="print the report as JSON")
    made.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 for a GO that holds, 1 for NO_GO, 2 for whole evidence without a sign-off."""
    report = verify(arguments.bundle, arguments.policy)
    print(json.dumps(asdict(report), indent=1) if arguments.json else "\n".join(_text(report)))
    return _STATUS[report.verdict]


def _text(report: Report) -> Iterator[str]:
    for each in report.findings[:_SHOWN]:
        yield f"{each.code}  {each.where}: {each.text}"
    if len(report.findings) > _SHOWN:
        yield f"… {len(report.findings) - _SHOWN} more; --json lists them"
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
