"""The command ``spec11`` judges, verifies, signs and moves evidence, and runs saboteurs."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import IO, Any, Final, cast

from pytest_spec11.cli import claims, flakes, gate, lane, sabotage, sign, travel, verify
from pytest_spec11.errors import BadInput, CannotJudge
from pytest_spec11.printable import SafeOutput

CANNOT_JUDGE: Final = 2
BAD_INPUT: Final = 3
INTERNAL: Final = 4


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    made = argparse.ArgumentParser(prog="spec11", description=__doc__, allow_abbrev=False)
    commands = made.add_subparsers(dest="command", required=True)
    for command in (gate, verify, lane, sign, travel, sabotage, claims, flakes, *_others()):
        command.add(commands)
    return made


def _others() -> Iterator[Any]:
    """Commands of other packages: modules like these, found by their entry points."""
    for entry in sorted(metadata.entry_points(group="spec11.commands")):
        yield entry.load()


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0 GO or done, 1 NO_GO, 2 no verdict, 3 bad input or usage, 4 a bug."""
    with (
        contextlib.redirect_stdout(cast("IO[str]", SafeOutput(sys.stdout))),
        contextlib.redirect_stderr(cast("IO[str]", SafeOutput(sys.stderr))),
    ):
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = parser().parse_args(argv)
        return int(arguments.run(arguments))
    except SystemExit as end:  # argparse: 0 after --help, 2 for wrong usage
        return BAD_INPUT if end.code else 0
    except BadInput as error:
        print(f"spec11: {error}", file=sys.stderr)
        return BAD_INPUT
    except CannotJudge as error:
        print(f"spec11: no verdict: {error}", file=sys.stderr)
        return CANNOT_JUDGE
    except Exception as error:  # noqa: BLE001  # whatever it is, it must not look like GO
        print(f"spec11: internal: {type(error).__name__}: {error}", file=sys.stderr)
        return INTERNAL
