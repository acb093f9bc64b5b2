"""Measure engine and prover against their goals; print one table and keep every round as JSON."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks import record, table
from benchmarks.figures import Effort, Figure, Figures, Measurement, Outcome
from benchmarks.lab import ROOT
from benchmarks.record import Results
from benchmarks.registry import MEASUREMENTS

MISSED: Final = 1
NOT_MEASURED: Final = 2
BAD_INPUT: Final = 3


def main(argv: Sequence[str] | None = None) -> int:
    """0; 1 with --check when a goal is missed, 2 when a measurement could not be made."""
    given = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what we started ends
    try:
        earlier = None if given.against is None else record.read_earlier(given.against)
    except record.NotResults as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return BAD_INPUT
    chosen = [each for each in MEASUREMENTS if given.only is None or each.name in given.only]
    results = _measure_and_keep(chosen, Effort(quick=given.quick), given.json, earlier)
    return exit_status(results, check=given.check)


def exit_status(results: Results, *, check: bool) -> int:
    """What the results mean for whoever started us. A miss within noise is none."""
    if results.failed:
        return NOT_MEASURED
    missed = any(row.judge(figure) is Outcome.MISSED for row, figure in results.found.items())
    return MISSED if check and missed else 0


def run_all(measurements: Sequence[Measurement], effort: Effort) -> Results:
    """Measure one after the other. One that fails is told and does not stop the others."""
    pairs: list[tuple[Measurement, Figures]] = []
    failed: dict[str, str] = {}
    for each in measurements:
        print(f"measuring {each.name} …", file=sys.stderr, flush=True)
        began = time.monotonic()
        try:
            pairs.append((each, each.run(effort)))
        except Exception as error:  # noqa: BLE001  # whatever it is, its rows are missing
            failed[each.name] = f"{type(error).__name__}: {error}"
        print(f"  {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return Results.collect(pairs, failed)


def _measure_and_keep(
    chosen: Sequence[Measurement],
    effort: Effort,
    path: Path | None,
    earlier: Mapping[str, Figure] | None,
) -> Results:
    machine, began = record.describe_machine(), time.monotonic()
    results = run_all(chosen, effort)
    document = record.build_document(results, effort, time.monotonic() - began, machine)
    path = path or _next_path()
    record.write(path, document)
    print(table.render(results, earlier))
    print(f"{document['seconds']:.0f} s, {document['commit'][:10]}, kept in {path}")
    return results


def _next_path() -> Path:
    return ROOT / ".spec11" / "bench" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"


def _parser() -> argparse.ArgumentParser:
    names = [each.name for each in MEASUREMENTS]
    made = argparse.ArgumentParser(prog="benchmarks", description=__doc__, allow_abbrev=False)
    made.add_argument("--only", nargs="+", choices=names, help="measure these, not all")
    made.add_argument(
        "--quick", action="store_true", help="a tenth of the work and one round: shows no figures"
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="keep the results there")
    made.add_argument("--against", type=Path, metavar="FILE", help="compare with earlier results")
    made.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    return made


if __name__ == "__main__":
    sys.exit(main())
