"""The command ``spec11`` judges, verifies, signs and moves evidence, and runs saboteurs."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import IO, Any, Final, cast

from pytest_spec11.cli import claims, explain, flakes, gate, lane, sabotage, sign, travel, verify
from pytest_spec11.errors import BadInput, CannotJudge
from pytest_spec11.evidence.binding import plugin_version
from pytest_spec11.printable import SafeOutput

CANNOT_JUDGE: Final = 2
USAGE: Final = 2
BAD_INPUT: Final = 3
INTERNAL: Final = 4
_NEXT: Final = """
next:
  pytest -m S02                                  proves one scenario and says what is missing
  spec11 claims -m S02                           lists what it has to prove
  pytest --spec11-scope signoff                  proves everything for a release
  spec11 gate .spec11/<run>                      gives the verdict
  spec11 explain E-DIRTY                         says what a reason means"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    made = argparse.ArgumentParser(prog="spec11", description=__doc__, allow_abbrev=False)
    made.add_argument("--version", action="version", version=f"spec11 {plugin_version()}")
    commands = made.add_subparsers(dest="command", metavar="COMMAND")
    known = (gate, verify, lane, sign, travel, sabotage, claims, flakes, explain)
    for command in (*known, *_others()):
        command.add(commands)
    return made


def _others() -> Iterator[Any]:
    """Commands of other packages: modules like these, found by their entry points."""
    for entry in sorted(metadata.entry_points(group="spec11.commands")):
        yield entry.load()


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0 GO or done, 1 NO_GO, 2 usage or no verdict, 3 bad input, 4 a bug."""
    with (
        contextlib.redirect_stdout(cast("IO[str]", SafeOutput(sys.stdout))),
        contextlib.redirect_stderr(cast("IO[str]", SafeOutput(sys.stderr))),
    ):
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    try:
        known = parser()
        arguments = known.parse_args(argv)
        if arguments.command is None:
            print(known.format_help() + _NEXT)
            return USAGE
        return int(arguments.run(arguments))
    except SystemExit as end:  # argparse: 0 after --help, 2 for wrong usage
        return USAGE if end.code else 0
    except BadInput as error:
        print(f"spec11: {error}", file=sys.stderr)
        return BAD_INPUT
    except CannotJudge as error:
        print(f"spec11: no verdict: {error}", file=sys.stderr)
        return CANNOT_JUDGE
    except Exception as error:  # noqa: BLE001  # whatever it is, it must not look like GO
        print(f"spec11: internal: {type(error).__name__}: {error}", file=sys.stderr)
        return INTERNAL
