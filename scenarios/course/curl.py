"""A `curl` for machines without one: the options that the course uses, and no other."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

import httpx

from pytest_spec11.waiting import GIVE_UP_S

REFUSED: Final = 400
NO_CONNECTION, BAD_STATUS = 7, 22  # exit codes of curl


def main() -> int:
    """The exit code; the body, and what `-w` asks for, are on standard output."""
    asked = _arguments()
    try:
        reply = httpx.request(
            asked.method or ("GET" if asked.data is None else "POST"),
            asked.url,
            headers=dict(head.split(": ", 1) for head in asked.header),
            content=asked.data,
            timeout=GIVE_UP_S,
        )
    except httpx.TransportError as error:
        sys.stderr.write(f"curl: ({NO_CONNECTION}) {error}\n")
        return NO_CONNECTION
    if asked.fail and reply.status_code >= REFUSED:
        return BAD_STATUS
    if asked.output is None:
        sys.stdout.write(reply.text)
    else:
        asked.output.write_bytes(reply.content)
    said = asked.write_out.replace("%{http_code}", str(reply.status_code))
    sys.stdout.write(said.replace("\\n", "\n"))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="curl", allow_abbrev=False)
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-S", action="store_true")
    parser.add_argument("-f", dest="fail", action="store_true")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="header", action="append", default=[])
    parser.add_argument("-d", "--data", dest="data")
    parser.add_argument("-o", dest="output", type=Path)
    parser.add_argument("-w", dest="write_out", default="")
    parser.add_argument("url")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
