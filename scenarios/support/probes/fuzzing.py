"""Requests generated from the engine's OpenAPI document: mostly right, then broken anywhere."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from scenarios.support.contract.inventory import METHODS, Operation
from scenarios.support.contract.seeded_random import Dice

ODD_TEXTS = (
    *("", " ", "\0", "\ud800", "ÄÖ ✓ 𝄞", "a/b", "..", "%", "'; --", "{{x}}", "null", "1e5"),
    "x" * 300,
    "💥" * 300,
)
NO_NAMES = ("", "\0", "x" * 300)
ODD_NUMBERS = (0, -1, 1.5, 2**31, 2**53, 10**30, -(10**30), 1e300, math.nan, math.inf)
ODD_BYTES = (b"", b"{bad", b"[]", b"\xff", b"\xef\xbb\xbf{}", b"[" * 5_000, b'{"a":1,"a":1}')
ODD_KEYS = ("", "bogus", "a/b~c", "\ud800", "__proto__", "x" * 300)
# Without these almost no start would be accepted.
EXPECTED = frozenset({"opts", "queuePartitionKey"})


@dataclass(frozen=True)
class Request:
    """One request as it is sent."""

    method: str
    url: str
    content: bytes | None


@dataclass(frozen=True)
class Fuzz:
    """A source of requests: ``usual`` has values by the name of a parameter or property."""

    dice: Dice
    operations: Sequence[Operation]
    usual: Mapping[str, Sequence[Any]]

    def request(self) -> Request:
        """The next request: one of the operations, rarely by another method."""
        each, dice = self.dice.pick(self.operations), self.dice
        method = dice.pick(METHODS) if dice.once_in(20) else each.method
        names = [part[1:-1] for part in each.path.split("/") if part.startswith("{")]
        path = each.path
        for name in names:
            value = dice.pick(ODD_TEXTS if dice.once_in(2) else self.usual[name])
            path = path.replace(f"{{{name}}}", quote(value, safe="", errors="surrogatepass"))
        content = None if each.body is None else self._content(each.body)
        query = self._query(each)
        return Request(method, f"{path}?{query}" if query else path, content)

    def _query(self, each: Operation) -> str:
        dice = self.dice
        right = {name: dice.pick(self.usual[name]) for name in each.needed}
        if not dice.once_in(3):
            return urlencode(right)
        names = (*each.query, "limit", dice.pick(ODD_KEYS))
        odd = {name: self._odd(each, name) for name in (dice.pick(names), dice.pick(names))}
        return urlencode({**right, **odd}, errors="surrogatepass")

    def _odd(self, each: Operation, name: str) -> str:
        """An odd value, but none that begins something under a foreign name."""
        numbers = (str(self.dice.below(600) - 5), *ODD_TEXTS)
        return self.dice.pick(NO_NAMES if name in each.needed else numbers)

    def _content(self, schema: Mapping[str, Any]) -> bytes:
        if self.dice.once_in(12):
            return self.dice.pick(ODD_BYTES)
        right = json.dumps(self._like(schema)).encode()
        return self._broken(right) if self.dice.once_in(12) else right

    def _broken(self, right: bytes) -> bytes:
        """``right`` with one byte replaced, or cut off at one byte."""
        at = self.dice.below(len(right))
        rest = b"" if self.dice.once_in(2) else bytes([self.dice.below(256)]) + right[at + 1 :]
        return right[:at] + rest

    def _like(self, schema: Mapping[str, Any], name: str = "") -> Any:
        """A value that fits ``schema``, sometimes replaced by one that may not fit."""
        if self.dice.once_in(40):
            return self._anything()
        if name in self.usual:
            return self.dice.pick(self.usual[name])
        if branches := schema.get("anyOf"):
            return self._like(branches[0] if name in EXPECTED else self.dice.pick(branches))
        return self._fitting(schema)

    def _fitting(self, schema: Mapping[str, Any]) -> Any:
        match schema:
            case {"enum": [*words]}:
                return self.dice.pick(words)
            case {"type": "object"}:
                return self._object(schema)
            case {"type": "integer"}:
                return schema.get("minimum", 0) + self.dice.below(9)
            case {"type": "string"}:
                return self.dice.pick(("v1", "intentQ", "acme", "qa-1"))
            case _:
                return None

    def _object(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        always = {*schema.get("required", ()), *EXPECTED}
        drawn = {
            name: self._like(each, name)
            for name, each in schema.get("properties", {}).items()
            if name in always or self.dice.once_in(12)
        }
        return {**drawn, self.dice.pick(ODD_KEYS): 1} if self.dice.once_in(25) else drawn

    def _anything(self) -> Any:
        odd: tuple[Any, ...] = (*ODD_TEXTS, *ODD_NUMBERS, None, True, False, [1], [[]], {})
        return self.dice.pick((*odd, {self.dice.pick(ODD_KEYS): None}))
