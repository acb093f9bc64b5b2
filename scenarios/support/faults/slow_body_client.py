"""A client that sends a body byte by byte: ``python slow_body_client.py HOST PORT PATH``.

It ends when the server answers or hangs up, or after LASTS_S, and prints what it got as JSON.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Sequence

LASTS_S = 30.0
PAUSE_S = 0.25
HEAD = (
    "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    "Content-Length: 100000\r\n\r\n"
)


def main(argv: Sequence[str]) -> int:
    """0, once it is over."""
    host, port, path = argv
    began = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=PAUSE_S) as line:
        line.sendall(HEAD.format(path=path, host=host).encode())
        answer = b""
        while not answer and time.monotonic() - began < LASTS_S:
            answer = _next(line)
        took_s = time.monotonic() - began
        while answer and (more := line.recv(65536)):  # until the server hangs up
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1]) if head else 0
    sys.stdout.write(json.dumps({"status": status, "body": body.decode(), "tookS": took_s}))
    return 0


def _next(line: socket.socket) -> bytes:
    """What the server says within a pause; if nothing, it gets one byte more."""
    try:
        return line.recv(65536)
    except TimeoutError:
        line.sendall(b" ")
        return b""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
