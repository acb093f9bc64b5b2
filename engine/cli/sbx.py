"""`spec11-engine sbx smoke`: whether the sandbox that is set really runs a command, live."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from engine.config import Config
from engine.core.artifacts import NO_ERROR
from engine.core.canon import Json
from engine.core.plans import Task
from engine.errors import Misconfigured
from engine.ports.sbx import Sandbox, providers

FAILED: Final = 1
LIVE: Final = "live"
MOST: Final = 100
VERBS: Final = {"smoke": "run an echo at the live provider; no other provider stands in"}
EPILOG: Final = """
examples:
  SBX_MODE=live SBX_PROVIDER=e2b E2B_API_KEY=… spec11-engine sbx smoke
  SBX_MODE=live SBX_PROVIDER=local SBX_ALT_PROVIDER_ENABLED=true spec11-engine sbx smoke --samples 3

The record goes to standard output or to --out. It claims no more than what happened.

exit status: 0 every sample came back as it was sent, 1 one did not (standard error says why),
2 wrong usage or environment
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.epilog = EPILOG
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, meaning in VERBS.items():
        command = verbs.add_parser(verb, help=meaning, description=f"{meaning.capitalize()}.")
        command.add_argument(
            "--samples",
            type=_samples,
            default=1,
            metavar="N",
            help=f"number of echoes: 1..{MOST} (default: 1)",
        )
        command.add_argument("--out", type=Path, help="write the record to this file")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """0 when every sample came back as it was sent."""
    sandbox = providers.sandbox(config.sandboxes.settings)
    try:
        faults = asyncio.run(_faults(sandbox, config, arguments.samples))
    except KeyboardInterrupt:  # what was not seen to its end is no success
        faults = ["interrupted"] * arguments.samples
    for fault in dict.fromkeys(each for each in faults if each):
        print(f"spec11-engine sbx smoke: {fault}", file=sys.stderr)
    text = json.dumps(_record(sandbox, config, faults), indent=2)
    if arguments.out is None:
        print(text)
    else:
        _write(arguments.out, text)
    return FAILED if any(faults) else 0


async def _faults(sandbox: Sandbox, config: Config, samples: int) -> list[str]:
    """What went wrong with each sample; nothing, where nothing did."""
    if config.sandboxes.mode != LIVE:
        return [f"SBX_MODE is {config.sandboxes.mode}: nothing live is set"] * samples
    return [await _fault(sandbox) for _ in range(samples)]


async def _fault(sandbox: Sandbox) -> str:
    word = f"spec11-{secrets.token_hex(8)}"
    result = await sandbox.run(Task(key=word, cmd=f"echo {word}"), 1)
    if result.err_code != NO_ERROR:
        told = " ".join(result.stderr.split()) or f"exit {result.exit}"
        return f"provider {sandbox.name}: {result.err_code}: {told}"
    if result.stdout != f"{word}\n":
        return f"provider {sandbox.name}: the echo came back as {result.stdout[:80]!r}"
    return ""


def _record(sandbox: Sandbox, config: Config, faults: Sequence[str]) -> dict[str, Json]:
    """What was seen, and nothing beyond it."""
    worked = sum(not fault for fault in faults)
    return {
        "schemaVersion": 1,
        "smoke": "sbx",
        "provider": config.sandboxes.provider,
        "providerVersion": sandbox.version,
        "mode": config.sandboxes.mode,
        "servedBy": f"{LIVE}:{sandbox.name}" if worked else "none",
        "appVersion": config.runtime.app_version,
        "samples": len(faults),
        "succeeded": worked,
        "claim": f"this strict path worked {worked} times",
        "failures": [*dict.fromkeys(fault for fault in faults if fault)],
    }


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise Misconfigured(f"--out {path}: {error.strerror}") from error


def _samples(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST):
        raise argparse.ArgumentTypeError(f"{text!r} is not within 1..{MOST}")
    return int(text)
