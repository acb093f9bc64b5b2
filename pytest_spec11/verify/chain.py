"""Reads a journal line by line: the chain, the shape of each record, and their Merkle tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import IO, Any, Final

from pytest_spec11.verify import hashing
from pytest_spec11.verify.findings import Findings

MAX_LINE: Final = 4 << 20
_ZERO: Final = "0" * 64
_LATE: Final = 1 << 62
_KEYS: Final = frozenset({"at", "data", "kind", "prev", "seq"})
_WORD, _NUMBER, _LIST, _TABLE, _FLAG = (str,), (int,), (list,), (dict,), (bool,)
SHAPES: Final[Mapping[str, Mapping[str, tuple[type, ...]]]] = MappingProxyType(
    {
        "start": {
            "runId": _WORD,
            "nonce": _WORD,
            "role": _WORD,
            "pid": _NUMBER,
            "binding": _TABLE,
        },
        "collected": {
            "items": _LIST,
            "deselected": _LIST,
            "defined": _LIST,
            "selected": _LIST,
        },
        "observation": {
            "node": _WORD,
            "source": _WORD,
            "ref": _WORD,
            "digest": _WORD,
            "size": _NUMBER,
            "blob": (str, type(None)),
            "facts": _TABLE,
            "empty": _FLAG,
        },
        "assertion": {"node": _WORD, "line": _NUMBER, "text": _WORD},
        "outcome": {
            "node": _WORD,
            "attempt": _NUMBER,
            "outcome": _WORD,
            "phases": _TABLE,
            "witness": _TABLE,
            "claims": _LIST,
            "voids": _LIST,
        },
        "provocation": {"node": _WORD, "workflowId": _WORD, "why": _WORD},
        "workers": {"expected": _LIST, "lost": _LIST},
        "surroundings": {
            "heard": _FLAG,
            "foreign": _LIST,
            "faults": _LIST,
            "plugins": _LIST,
            "python": _TABLE,
            "target": _TABLE,
        },
        "note": {},
        "seal": {"count": _NUMBER, "head": _WORD, "exitStatus": _NUMBER, "sum": _WORD},
    }
)

# Most records. The chain covers their bytes, and no verdict depends on their spelling.
_WITNESSED: Final = frozenset({"assertion", "observation"})
_ENDS: Final = frozenset({"start", "seal"})
_TYPES: Final = {kind: tuple(shape.items()) for kind, shape in SHAPES.items()}
_TORN: Final = "torn line"
MISSTATED: Final = "the record gives its bytes another digest or size"

Data = Mapping[str, Any]


@dataclass(slots=True)
class Journal:
    """The result of reading a journal."""

    name: str
    records: int = 0
    sha256: str = ""
    root: str = ""
    start: Data = field(default_factory=dict)
    seal: Data = field(default_factory=dict)
    first_at: int = 0
    last_at: int = 0
    min_at: int = 0
    max_at: int = 0
    line: bytes = b""  # the current one


def read(
    file: IO[bytes], name: str, hear: Callable[[Journal, str, Data], str], findings: Findings
) -> Journal:
    """Read the journal in ``file``; ``hear`` gets every record and returns what is wrong with it.

    After a bad record the rest is only hashed.
    """
    journal, tree, total, prev = Journal(name), hashing.Tree(), sha256(), _ZERO
    sound, low, high = True, _LATE, 0
    while line := file.readline(MAX_LINE + 1):
        total.update(line)
        found = sha256(line).digest()
        if not sound:
            continue
        journal.line = line
        body: Data = {}
        try:
            body = _record(line, journal, prev)
            wrong = hear(journal, body["kind"], body["data"])
        except (ValueError, KeyError, TypeError, RecursionError, AttributeError) as error:
            wrong = f"{error}"[:200] or type(error).__name__
        if wrong:
            findings.add(_code(wrong), f"{name} record {journal.records}", wrong)
            sound = False
            continue
        tree.add(found)
        journal.last_at = at = body["at"]
        low, high = min(low, at), max(high, at)
        journal.records += 1
        prev = found.hex()
    journal.sha256, journal.root = total.hexdigest(), tree.root
    journal.min_at, journal.max_at = low, high
    if sound and not journal.seal:
        text = "the journal does not end with a seal"
        findings.add("E-UNSEALED", f"{name} record {journal.records}", text)
    return journal


def _code(wrong: str) -> str:
    if wrong == MISSTATED:
        return "E-DIGEST"
    return "E-TRUNCATED" if wrong == _TORN else "E-CHAIN"


def _record(line: bytes, journal: Journal, prev: str) -> dict[str, Any]:
    """The record in ``line``. Raises ValueError that says what is wrong with it."""
    if line[-1:] != b"\n":
        raise ValueError(_TORN if len(line) <= MAX_LINE else "line too long")
    text = line[:-1].decode()
    body: dict[str, Any] = hashing.parse(text)[0]
    if type(body) is not dict or body.keys() != _KEYS:
        raise ValueError("not a record")
    if body["kind"] not in _WITNESSED and not hashing.is_canonical(body, text):
        raise ValueError("not canonical JSON")
    if journal.seal:
        raise ValueError("a record after the seal")
    if body["seq"] != journal.records or type(body["seq"]) is not int:
        raise ValueError(f"number {body['seq']} where {journal.records} belongs")
    if body["prev"] != prev:
        raise ValueError(f"the record before, {journal.records - 1}, is not the one it followed")
    _check_shape(body)
    if journal.records == 0 or body["kind"] in _ENDS:
        _check_place(body, journal, prev)
    return body


def _check_shape(body: Data) -> None:
    data, shape = body["data"], _TYPES[body["kind"]]
    if type(body["at"]) is not int or type(data) is not dict:
        raise ValueError("a record without time or data")
    for key, types in shape:
        if type(data[key]) not in types:
            raise ValueError(f"{body['kind']} without a proper {key}")


def _check_place(body: dict[str, Any], journal: Journal, prev: str) -> None:
    kind, data = body["kind"], body["data"]
    if (kind == "start") != (journal.records == 0):
        raise ValueError("a start that is not the first record, or none that is")
    if kind == "start":
        journal.start, journal.first_at = data, body["at"]
    if kind == "seal":
        bare = {key: value for key, value in data.items() if key != "sum"}
        if (data["count"], data["head"]) != (journal.records, prev):
            raise ValueError("the seal counts other records")
        if hashing.digest({**body, "data": bare}) != data["sum"]:
            raise ValueError("the seal was changed")
        journal.seal = data
