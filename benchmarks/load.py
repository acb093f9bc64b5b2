"""A closed-loop HTTP generator on raw sockets: cheap enough not to be what is measured.

`python -m benchmarks.load URL CONNECTIONS < bodies` posts each input line once and prints how many
answers had which status, and the seconds it took.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

LOOPBACK: Final = "127.0.0.1"


async def _client(port: int, path: str, bodies: Iterator[bytes], seen: Counter[str]) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    for body in bodies:
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        seen[answer[9:12].decode()] += 1
        length = answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
    writer.close()
    await writer.wait_closed()


async def _post_all(url: str, connections: int, bodies: list[bytes]) -> dict[str, object]:
    parts, seen, todo = urlsplit(url), Counter[str](), iter(bodies)
    began = time.perf_counter()
    clients = (_client(parts.port or 80, parts.path or "/", todo, seen) for _ in range(connections))
    await asyncio.gather(*clients)
    return {"seconds": time.perf_counter() - began, "statuses": seen}


def main(url: str, connections: int) -> None:
    """Post every line of standard input."""
    bodies = sys.stdin.buffer.read().splitlines()
    print(json.dumps(asyncio.run(_post_all(url, connections, bodies))))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
