"""``spec11 export`` and ``spec11 import``: evidence as one file, and back."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pytest_spec11.evidence import archive
from pytest_spec11.verify import verify


def add(commands: Any) -> None:
    """Declare both commands and their options."""
    out = commands.add_parser("export", help="put evidence into one file", allow_abbrev=False)
    out.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE", help="a run's directory")
    out.add_argument("--signoff", type=Path, help="the sign-off; its signatures lie beside it")
    out.add_argument("--out", type=Path, required=True, help="the file to write")
    out.set_defaults(run=run_export)
    back = commands.add_parser("import", help="unpack the evidence of a file", allow_abbrev=False)
    back.add_argument("file", type=Path)
    back.add_argument("--dir", type=Path, default=Path(".spec11"), help="directory of runs")
    back.set_defaults(run=run_import)


def run_export(arguments: argparse.Namespace) -> int:
    """0 when the file is there."""
    signoff = arguments.signoff
    beside = signoff.with_name(archive.ENVELOPE) if signoff else None
    envelope = beside if beside is not None and beside.is_file() else None
    manifest = archive.export(arguments.out, arguments.bundles, signoff, envelope)
    print(f"{arguments.out}: {len(manifest['files'])} files of {len(manifest['runs'])} runs")
    return 0


def run_import(arguments: argparse.Namespace) -> int:
    """0 when the runs are unpacked; 1 when the file was changed, and then nothing is unpacked."""
    report = verify(arguments.file)
    if report.findings:
        first = report.findings[0]
        print(f"not imported: {first.code} {first.where}: {first.text}")
        return 1
    for name in archive.unpack(arguments.file, arguments.dir):
        print(arguments.dir / name)
    return 0
