"""`spec11-engine repro`: everything about a run in one file, made and checked."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from engine.cli import where
from engine.config import Config
from engine.core import packs
from engine.core.packs import Checked, Unreadable
from engine.errors import Misconfigured
from engine.usecases import packs as usecases

DIFFERS: Final = 1
NO_PACK: Final = 3
EPILOG: Final = """
A pack is one canonical JSON document with everything that both schemas hold of a run, its forks,
repairs, compensations and escalations, and with its own sha256. The API serves the same bytes at
/api/runs/W/repro. --verify needs no database: it computes every hash, identity and order of times
again from each file alone, and prints one line for each difference.

examples:
  spec11-engine repro --run ih_… --out pack.json
  spec11-engine repro --run run_… | jq .dbos.parentStatuses
  spec11-engine repro --verify pack.json

exit status: 0 done, or nothing differs; 1 run not found, or something differs; 2 wrong usage or
environment; 3 the file is not a pack; 4 unexpected; 5 the database does not answer
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = EPILOG
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--run", metavar="W", help="a workflow id or a run id")
    wanted.add_argument(
        "--verify", type=Path, nargs="+", metavar="FILE", help="check these packs offline"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="file of the pack (default: standard output)",
    )
    where.argument(parser)


def run(arguments: argparse.Namespace, config: Config) -> int:
    """0 when the pack is made, or holds."""
    if arguments.verify is None:
        return _make(arguments, config)
    if arguments.out is not None:
        raise Misconfigured("--out goes with --run: --verify writes nothing")
    return max(map(_verify, arguments.verify))


def _make(arguments: argparse.Namespace, config: Config) -> int:
    """0, once the whole pack is where it was wanted. Raises Missing, Unreachable."""
    dsn = where.running(arguments, config)
    made = asyncio.run(usecases.export_pack(dsn, arguments.run, config.secrets()))
    if arguments.out is None:
        sys.stdout.buffer.write(made)
        sys.stdout.flush()
    else:
        _keep(made, arguments.out)
        print(arguments.out)
    return 0


def _keep(made: bytes, place: Path) -> None:
    """The file is the whole pack, or as it was before. Raises Misconfigured."""
    try:
        number, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    except OSError as error:
        raise Misconfigured(f"--out {place}: {error.strerror}") from error
    staged = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(made)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(place)
    except OSError as error:
        raise Misconfigured(f"--out {place}: {error.strerror}") from error
    finally:
        staged.unlink(missing_ok=True)


def _verify(place: Path) -> int:
    try:
        found = packs.check_pack(place.read_bytes())
    except OSError as error:
        return _no_pack(place, str(error.strerror))
    except Unreadable as error:
        return _no_pack(place, str(error))
    for line in _describe_differences(found):
        print(f"{place}: {' '.join(line.split())}")
    return DIFFERS if found.differs else 0


def _describe_differences(found: Checked) -> list[str]:
    differs = [f"differs {each}" for each in found.differs]
    hidden = [f"redacted {each}: cannot be computed again" for each in found.untold]
    return [*differs, *hidden] if differs else [*hidden, f"holds: {found.holds} proofs"]


def _no_pack(place: Path, why: str) -> int:
    print(f"spec11-engine repro: {place} is not a pack: {why}", file=sys.stderr)
    return NO_PACK
