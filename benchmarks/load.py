"""A closed-loop HTTP client on raw sockets: cheap enough not to be what is measured."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import uvloop

from benchmarks.lab import MeasurementFailed

LOOPBACK: Final = "127.0.0.1"
CONNECTIONS: Final = 16
LIMIT_S: Final = 120.0
CREATED: Final = "201"


@dataclass(frozen=True, slots=True)
class Post:
    """One request."""

    path: str
    body: bytes

    @classmethod
    def of(cls, path: str, document: object) -> Post:
        """``document`` as JSON."""
        return cls(path, json.dumps(document).encode())


@dataclass(slots=True)
class Answers:
    """What came back, in the order of the requests, and when the first request was sent."""

    began: float
    seconds: float = 0.0
    bodies: dict[int, bytes] = field(default_factory=dict)

    @property
    def documents(self) -> list[Any]:
        """Every answer, read as JSON."""
        return [json.loads(body) for _, body in sorted(self.bodies.items())]


def post_all(url: str, posts: Sequence[Post], accepted: tuple[str, ...] = (CREATED,)) -> Answers:
    """Send every request once, over ``CONNECTIONS`` connections.

    Raises MeasurementFailed when an answer has another status than those ``accepted``.
    """
    return uvloop.run(_post_all(urlsplit(url).port or 80, posts, accepted))


async def _post_all(port: int, posts: Sequence[Post], accepted: tuple[str, ...]) -> Answers:
    answers, todo = Answers(time.perf_counter()), iter(enumerate(posts))
    clients = (_serve_client(port, todo, accepted, answers) for _ in range(CONNECTIONS))
    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(*clients)
    answers.seconds = time.perf_counter() - answers.began
    return answers


async def _serve_client(
    port: int, todo: Iterator[tuple[int, Post]], accepted: tuple[str, ...], answers: Answers
) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    for number, post in todo:
        head = f"POST {post.path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json"
        writer.write(f"{head}\r\ncontent-length: {len(post.body)}\r\n\r\n".encode() + post.body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        answers.bodies[number] = await reader.readexactly(int(length))
        if (status := answer[9:12].decode()) not in accepted:
            raise MeasurementFailed(f"{post.path}: {status} {answers.bodies[number][:200]!r}")
    writer.close()
    await writer.wait_closed()
