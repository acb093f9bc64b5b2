"""Which API a command asks, and by what right."""

from __future__ import annotations

import argparse
from urllib.parse import SplitResult

from engine.config import Config
from engine.ports import remote
from engine.ports.remote import Remote


def arguments(command: argparse.ArgumentParser) -> None:
    """Give ``command`` the options that all who ask the API share."""
    command.add_argument(
        "--url",
        type=_address,
        help="address of the API (default: http://127.0.0.1 on PORT, else 3001)",
    )
    command.add_argument("--json", action="store_true", help="print one JSON object per line")


def find_remote(arguments: argparse.Namespace, config: Config) -> Remote:
    """The API that is meant."""
    url = arguments.url or remote.address(f"http://127.0.0.1:{config.http.port}")
    return Remote(url, _token(config))


def _token(config: Config) -> bytes | None:
    """The first of an operator's keys; the others are being exchanged for it, or it for them."""
    keys = config.access.operator_tokens.now() if config.access.operator_tokens else ()
    return keys[0] if keys else None


def _address(text: str) -> SplitResult:
    try:
        return remote.address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
