"""`spec11-engine triage --run W`: the first level at which the trouble of a run shows."""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Final

from engine.cli import remotes, where
from engine.config import Config
from engine.usecases import triage
from engine.usecases.triage import Level, Outcome, Scene

FAULTY: Final = 1
EPILOG: Final = """
The order never changes. The command stops at the first fault. It checks that
  healthz      the API answers and is healthy, and a worker of its version lives
  run API      the run exists and has not failed
  app SQL      its rows of schema app are right: identity, recipe, steps, answers, patches, budget
  engine SQL   the durable engine's status agrees with the run's own
  repro pack   the API's pack is right; every digest in it is computed again
  logs         the files of --log have no line with an error

Each level is one line: its name, a tab, ok, fault, not given or not looked at, a tab, the reason.

examples:
  spec11-engine triage --run ih_…
  spec11-engine triage --run ih_… --log api.log --log worker.log

exit status: 0 no fault, 1 a fault, 2 wrong usage or environment, 4 unexpected
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = EPILOG
    parser.add_argument("--run", required=True, metavar="W", help="a workflow id or a run id")
    parser.add_argument(
        "--log",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="log file of a process's standard error; repeatable",
    )
    remotes.arguments(parser)
    where.argument(parser)


def run(arguments: argparse.Namespace, config: Config) -> int:
    """0 when no level has a fault."""
    scene = Scene(
        api=remotes.find_remote(arguments, config),
        dsn=partial(where.running, arguments, config),
        wid=arguments.run,
        logs=arguments.log,
        secrets=config.secrets(),
    )
    found = []
    for level in triage.levels(scene):
        found.append(level.outcome)
        print(_document(level) if arguments.json else _line(level), flush=True)
    return FAULTY if Outcome.FAULT in found else 0


def _line(level: Level) -> str:
    return "\t".join(filter(None, (level.name, level.outcome, level.why)))


def _document(level: Level) -> str:
    return json.dumps({"level": level.name, "outcome": level.outcome, "why": level.why})
