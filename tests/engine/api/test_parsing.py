from __future__ import annotations

import asyncio
import tracemalloc

import pytest
from starlette.requests import Request
from starlette.types import Message

from engine.api import parsing
from engine.api.parsing import MAX_BODY, strict_json
from engine.contracts.base import Wire
from engine.core.pointers import pointer
from engine.errors import Malformed

DEEP = b"[" * 10_000 + b"]" * 10_000


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" \n",
        b"{bad",
        b"{} {}",
        b"\xef\xbb\xbf{}",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'{"a":"caf\xc3',
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e999",
        b"9007199254740993",
        b"9007199254740993.0",
        b"-9007199254740993",
        b"9007199254740991.5",
        b"1e16" + b"0" * 400,
        b"1" * 5000,
        b'"\\ud800"',
        b'{"\\udc00":1}',
        b'["\\u0000"]',
        b'"\x00"',
        b'"\n"',
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"\\u0062":2}}',
        b"01",
        b"{'a':1}",
        b"[1,]",
        b"[" * 65 + b"]" * 65,
        DEEP,
        b"[" * 100_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    ],
    ids=lambda raw: f"{raw[:24]!r} of {len(raw)}",
)
def test_what_has_no_single_exact_meaning_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed, match=r"^invalid json$"):
        strict_json(raw)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"[" * 64 + b"]" * 64, None),
        (b'["' + b"[" * 1000 + b'"]', ["[" * 1000]),
        (b'["\\"[[[", 1]', ['"[[[', 1]),
        (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        (b" 9007199254740991 ", 9007199254740991),
        (b"[1.0, 1e21, -0]", [1.0, 1e21, 0]),
        (b"[1e16, 10000000000000000, 10000000000000000.0, 1e23]", [1e16, 1e16, 1e16, 1e23]),
        (b"[-9007199254740992, 100000000000000000000000]", [-9007199254740992.0, 1e23]),
        (b"null", None),
    ],
)
def test_what_is_strict_json_is_read(raw: bytes, value: object) -> None:
    assert value is None or strict_json(raw) == value


@pytest.mark.parametrize(
    ("path", "text"),
    [((), ""), (("opts", "lane"), "/opts/lane"), (("a/b", 0, "~"), "/a~1b/0/~0")],
)
def test_a_pointer_escapes_its_parts(path: tuple[str | int, ...], text: str) -> None:
    assert pointer(path) == text


@pytest.mark.parametrize("declared", [10 * MAX_BODY, None])
def test_of_a_body_that_is_too_large_nothing_is_kept(declared: int | None) -> None:
    kept_b: list[int] = []
    chunks = iter(range(160))

    async def receive() -> Message:
        number = next(chunks)
        kept_b.append(tracemalloc.get_traced_memory()[0])
        body = b" " * (MAX_BODY // 16)
        return {"type": "http.request", "body": body, "more_body": number < 159}

    headers = [] if declared is None else [(b"content-length", str(declared).encode())]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    tracemalloc.start()
    try:
        with pytest.raises(Malformed, match="body too large"):
            asyncio.run(parsing.body(request, Wire))
    finally:
        tracemalloc.stop()

    assert kept_b[-1] - kept_b[1] < MAX_BODY // 4
    assert declared is None or max(kept_b) - kept_b[1] < MAX_BODY // 4
