"""What one observation of a journal holds: whether it showed anything, and its facts as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from pytest_spec11.canon import canonical
from pytest_spec11.evidence.journal import Record
from pytest_spec11.evidence.record_shapes import SHAPES

NOTHING: Final = sha256(b"").hexdigest()
_OBSERVATION_KEYS: Final = len(SHAPES["observation"])
_FACTS: Final = b'"facts":'
_NODE: Final = b'"node":'


def is_substantive(observation: Mapping[str, Any]) -> bool:
    """Whether an observation showed anything at all."""
    nothing = NOTHING in {observation["blob"], observation["digest"]}
    return not observation["empty"] and observation["size"] > 0 and not nothing


def read_facts(record: Record) -> bytes:
    """Canonical JSON of an observation's facts.

    It is part of the record's line, between the key ``facts`` and the next key, ``node``. It is cut
    out only if each of these keys matches once. JSON escapes a quote within a string, so each match
    is a key.
    """
    line = record.line
    if len(record.data) == _OBSERVATION_KEYS and line.count(_FACTS) == 1 == line.count(_NODE):
        return line[line.index(_FACTS) + len(_FACTS) : line.index(_NODE) - 1]
    return canonical(record.data["facts"])
