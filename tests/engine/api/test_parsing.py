from __future__ import annotations

import pytest

from engine.api.parsing import strict_json
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
        b"9007199254740992",
        b"-9007199254740992",
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
