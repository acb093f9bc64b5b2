"""The command line of the engine: parse, one call, an exit status that means something."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType
from typing import Final

from engine.errors import Conflict, EngineError, InUse, Misconfigured, Missing, Unreachable
from engine.loading import pause_collection
from engine.postgres.variables import forget_variables

with pause_collection():
    from engine.config import Config

COMMANDS: Final = {  # each is a module here with arguments() and run()
    "up": "run Postgres, api-shim and workers in the foreground, until Ctrl-C",
    "api": "run only the api-shim: HTTP on PORT",
    "worker": "run only one worker; its executor id is DBOS__VMID",
    "db": "manage the database: serve, migrate, reset, gc",
    "queues": "list the queues and their limits in this environment",
    "templates": "manage sandboxes that are prepared in advance: register, list",
    "forkserver": "start api or worker by fork, for test runs that start hundreds",
    "points": "list the crash points that SPEC11_CRASH_AT can arm, for tests",
    "sbx": "check the sandbox: smoke runs a live command at the configured provider",
    "psql": "open psql on the database, with schema app or dbos first",
    "repro": "write everything about a run to one file, or check such a file",
    "triage": "find where a run's trouble shows first: health, API, SQL, pack, logs",
    "ops": "list, cancel, resume or fork many workflows at once, over HTTP",
    "oc": "check the agents' live server: smoke asks it one question, strictly",
}
EPILOG: Final = """
first steps:
  spec11-engine up                  then open http://127.0.0.1:3001/ for the boards
  spec11-engine psql app -c 'select workflow_id, status from runs'

Commands find each other through the data directory (--data-dir or SPEC11_DATA_DIR), or they all use
the Postgres that SPEC11_DSN names. docs/contract.md describes the environment.

exit status: 0 done, 1 not everything was done (ops, oc, sbx), something is missing or wrong (repro,
triage) or refused (templates, db gc), 2 wrong usage or environment, 3 in use by somebody else, 4
unexpected, 5 the API or the database is not reachable (ops, repro, db gc)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 no, 2 usage or environment, 3 in use, 4 unexpected, 5 no answer."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser(words[:1]).parse_args(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _run(arguments, Config.from_env())
    except KeyboardInterrupt:
        return 0
    except BrokenPipeError:  # the reader of our output closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except EngineError as error:
        return _report_refusal(arguments.command, error)
    except Exception as error:  # noqa: BLE001  # a bug: its trace, and a status of its own
        traceback.print_exc()
        return _report_refusal(arguments.command, error)


def _run(arguments: argparse.Namespace, config: Config) -> int:
    is_embedded = config.database.dsn is None or getattr(arguments, "data_dir", None) is not None
    forget_variables(os.environ, is_embedded=is_embedded)  # noqa: TID251  # libpq reads it
    status: int = _load(arguments.command).run(arguments, config)
    return status


def _load(command: str) -> ModuleType:
    with pause_collection():
        return importlib.import_module(f"engine.cli.{command}")


def _report_refusal(command: str, error: Exception) -> int:
    message = " ".join(str(error).split()) or type(error).__name__
    print(f"spec11-engine {command}: {message}", file=sys.stderr)
    match error:
        case Conflict() | Missing():
            return 1
        case Misconfigured():
            return 2
        case InUse():
            return 3
        case Unreachable():
            return 5
        case _:
            return 4


def _parser(wanted: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; only the wanted command's module is loaded for its own arguments."""
    parser = argparse.ArgumentParser(
        prog="spec11-engine",
        description="The reference engine: an HTTP api-shim and workers on one Postgres.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, meaning in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=meaning,
            description=f"{meaning[0].upper()}{meaning[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name in wanted:
            _load(name).arguments(command)
    return parser
