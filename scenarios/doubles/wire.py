"""What the pinned OpenCode server was seen to say, exchange by exchange, as a tap wrote it down.

``opencode/wire.ndjson`` is one recording: of a run that the server planned and built, and of one
in which the model called a tool. The stand-in answers with it, and a test holds it to the server.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

KEPT = Path(__file__).parent / "opencode" / "wire.ndjson"
LONGEST = 120  # of a text that is kept whole: what is longer is for people to read
# What differs from one recording to the next: ids and cursors, numbered as they come; the rest.
IDS = re.compile(r"(?P<kind>ses|msg|prt|err|run|before)(?P<mark>[_=])(?P<rest>[A-Za-z0-9_-]{8,})")
SAME = (
    (re.compile(r'"[^"]*/opencode/work"'), '"/work"'),
    (re.compile(r'"slug": "[^"]*"'), '"slug": "a-slug"'),
    (re.compile(r"\b1\d{12}\b"), "1700000000000"),
    (re.compile(r"scenarios/test_\w+\.py::\w+ of [0-9TZ]+-[0-9a-f]+"), "a goal"),
)

Exchange = dict[str, Any]


def load_recording() -> list[Exchange]:
    """The recording."""
    return read(KEPT.read_bytes())


def read(content: bytes) -> list[Exchange]:
    """The exchanges that a tap wrote down."""
    return [json.loads(line) for line in content.splitlines()]


def plain(exchanges: Iterable[Exchange]) -> Iterator[Exchange]:
    """The exchanges with nothing in them that only belongs to their hour and place."""
    names: dict[str, str] = {}
    numbers: dict[str, count[int]] = defaultdict(lambda: count(1))

    def name(found: re.Match[str]) -> str:
        kind = found["kind"]
        if found[0] not in names:
            names[found[0]] = f"{kind}{found['mark']}{next(numbers[kind])}"
        return names[found[0]]

    for exchange in exchanges:
        cursor = exchange["cursor"] and "a cursor"
        text = json.dumps({**exchange, "cursor": cursor, "said": _short(exchange["said"])})
        for pattern, word in SAME:
            text = pattern.sub(word, text)
        yield json.loads(IDS.sub(name, text))


def shape(value: Any) -> Any:
    """The keys and the types of a JSON value."""
    match value:
        case dict():
            return {key: shape(value[key]) for key in sorted(value)}
        case list():
            return [shape(each) for each in value]
        case _:
            return type(value).__name__


def _short(value: Any) -> Any:
    match value:
        case dict():
            return {key: _short(each) for key, each in value.items()}
        case list():
            return [_short(each) for each in value]
        case str() if len(value) > LONGEST:
            return f"{value[:LONGEST]}…"
        case _:
            return value
