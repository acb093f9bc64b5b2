"""`spec11-engine db gc`: remove what ended long ago."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from engine.cli import where
from engine.config import Config
from engine.core.retention import MAX_BATCH, read_age, read_batch
from engine.errors import Misconfigured
from engine.ports.evidence import Evidence

if TYPE_CHECKING:  # another verb of `db` has no use for what this loads
    from engine.usecases.retention import Order, Report

MEANING: Final = "remove runs that ended long ago, from both schemas"
EPILOG: Final = """
The command removes a run with everything that belongs to it, in both schemas: steps, tasks, gates,
patches, forks of its tasks, repairs, compensations, escalations, and its intent unless another run
has it. A later start of the same form is then a new run. The command also removes workflows that
belong to no run: ticks, demos, promotions.

It keeps, however old they are: a run that has not ended, a run of which a fork stays, a run whose
files are not taken back yet, anything that somebody acts on right now, recipes, verdicts of
promotions, every audit, and everything that the sign-off in SPEC11_SIGNOFF_DIR and its evidence
name. If it cannot read the whole sign-off, it removes nothing and reports an error.

A batch is one transaction with an audit row, so the command may run beside the engine, and anybody
may kill it at any moment. After autovacuum the space is free for new rows; the command runs no
VACUUM.

examples:
  spec11-engine db gc --older-than 30d --dry-run
  spec11-engine db gc --older-than 30d --json

exit status: 0 done, 1 the sign-off cannot be read, 2 wrong usage or environment, 4 unexpected,
5 the database does not answer
"""
Value = TypeVar("Value")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options; their values are read together, so that one message names every fault."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    where.argument(parser)
    parser.add_argument(
        "--older-than", metavar="AGE", help="at least 24h, for example 36h, 30d or 8w; required"
    )
    parser.add_argument(
        "--batch",
        default="500",
        metavar="N",
        help=f"runs per transaction: 1..{MAX_BATCH} (default: 500)",
    )
    parser.add_argument("--dry-run", action="store_true", help="only count, do not remove")
    parser.add_argument("--json", action="store_true", help="print what was removed as JSON")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """0 when all that may go is gone. Raises Misconfigured, IllegalState, Unreachable."""
    from engine.usecases import retention  # noqa: PLC0415  # as above

    order = _read(arguments, config)
    progress = _Progress(is_shown=sys.stderr.isatty())
    with where.reachable(arguments, config, newest=True) as dsn:
        try:
            report = asyncio.run(retention.remove_ended(dsn, order, progress.show))
        finally:
            progress.clear()
    told = _document(report, order) if arguments.json else _sentence(report, order)
    print(told)
    return 0


def _read(arguments: argparse.Namespace, config: Config) -> Order:
    """What is asked for. Raises Misconfigured with every fault in one message."""
    from engine.usecases.retention import Order  # noqa: PLC0415  # as above

    faults: list[str] = []
    age = _value("--older-than", arguments.older_than, read_age, faults)
    batch = _value("--batch", arguments.batch, read_batch, faults)
    if age is None or batch is None:
        raise Misconfigured("; ".join(faults))
    return Order(
        age=age,
        batch=batch,
        is_rehearsal=arguments.dry_run,
        signoff=Evidence(config.release.signoff_dir),
        needs_signoff=config.release.names_signoff,
    )


def _value(
    name: str, text: str | None, read: Callable[[str], Value], faults: list[str]
) -> Value | None:
    if text is None:
        faults.append(f"{name} is missing")
        return None
    try:
        return read(text)
    except ValueError as error:
        faults.append(f"{name} {text!r} {error}")
        return None


def _document(report: Report, order: Order) -> str:
    return json.dumps({
        "dryRun": order.is_rehearsal,
        "before": report.before.isoformat(),
        "runs": report.runs,
        "workflows": report.workflows,
        "batches": report.batches,
        "kept": report.reasons,
        "signoff": str(order.signoff.root) if report.has_signoff else None,
    })  # fmt: skip


def _sentence(report: Report, order: Order) -> str:
    verb = "would remove" if order.is_rehearsal else "removed"
    kept = ", ".join(f"{count} {why}" for why, count in sorted(report.reasons.items()))
    signoff = "" if report.has_signoff else f"; no sign-off lies in {order.signoff.root}"
    return (
        f"{verb} {report.runs} runs and {report.workflows} other workflows that ended before "
        f"{report.before.isoformat(timespec='seconds')}; kept: {kept or 'none'}{signoff}"
    )


class _Progress:
    """One line on a terminal, written again after each batch."""

    def __init__(self, *, is_shown: bool) -> None:
        self._is_shown = is_shown

    def show(self, report: Report) -> None:
        """How far it is."""
        if self._is_shown:
            gone = f"{report.runs} runs, {report.workflows} other workflows"
            print(f"\r{gone}, {len(report.kept)} kept", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """The line is gone."""
        if self._is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
