"""`spec11-engine psql app|sys [psql arguments]`."""

from __future__ import annotations

import argparse
import os
from typing import Final

from engine.cli import where
from engine.config import Config
from engine.postgres.binaries import Programs
from engine.store.dsn import password, searching, without_password

PATHS: Final = {"app": "app", "sys": "dbos,app"}
EPILOG: Final = """
examples:
  spec11-engine psql app -Atc 'select count(*) from runs'
  spec11-engine psql sys -c 'select workflow_uuid, status from workflow_status'
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options, and everything after app or sys for psql itself."""
    where.argument(parser)
    parser.epilog = EPILOG
    parser.add_argument("schema", choices=sorted(PATHS), help="the schema that comes first")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="…", help="arguments of psql")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Never: the process becomes psql, whose exit status counts."""
    dsn = searching(where.running(arguments, config), PATHS[arguments.schema])
    psql = Programs.find_installed().path("psql")
    words = [psql, "--dbname", without_password(dsn), *arguments.rest]
    secret = password(dsn)
    environment = {
        **os.environ,  # noqa: TID251  # handed on, not read
        **({} if secret is None else {"PGPASSWORD": secret}),
    }
    os.execve(psql, words, environment)  # noqa: S606  # no shell, on purpose
