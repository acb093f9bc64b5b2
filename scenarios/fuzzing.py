"""Requests drawn from the engine's own document of itself: mostly right, then broken anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

from scenarios.inventory import Operation

ODD_TEXTS = [
    "",
    " ",
    "\0",
    "\ud800",
    "ÄÖ ✓ 𝄞",
    "a/b",
    "..",
    "%",
    "'; --",
    "{{x}}",
    "x" * 300,
    "💥" * 300,
]
ODD_NUMBERS = [0, -1, 1.5, 2**31, 2**53, 10**30, -(10**30), 1e300, float("nan"), float("inf")]
ODD_BYTES = [b"", b"{bad", b"[]", b"\xff", b"\xef\xbb\xbf{}", b"[" * 5_000, b'{"a":1,"a":1}']


@dataclass(frozen=True)
class Request:
    """One request as it is sent."""

    method: str
    url: str
    content: bytes | None


def requests(
    known: Sequence[Operation], names: Mapping[str, list[str]]
) -> st.SearchStrategy[Request]:
    """Requests over all of ``known``; path parameters are drawn from ``names`` or are odd."""
    return st.one_of([_request(each, names) for each in known])


def _request(operation: Operation, names: Mapping[str, list[str]]) -> st.SearchStrategy[Request]:
    odd = st.one_of(st.sampled_from(ODD_TEXTS), st.text(max_size=20))
    at = {name: _mostly(st.sampled_from(values), odd) for name, values in names.items()}
    query = st.dictionaries(
        _mostly(st.sampled_from([*operation.query, "limit"]), odd),
        st.one_of(st.integers(-5, 600).map(str), odd),
        max_size=2,
    )
    body = st.none() if operation.body is None else _body(operation.body)
    return st.builds(
        lambda at, query, content: Request(operation.method, _url(operation, at, query), content),
        st.fixed_dictionaries(at),
        _mostly(st.just(dict[str, str]()), query),
        body,
    )


def _url(operation: Operation, at: Mapping[str, str], query: Mapping[str, str]) -> str:
    path = operation.path
    for name, value in at.items():
        path = path.replace(f"{{{name}}}", quote(value, safe="", errors="surrogatepass") or "-")
    text = urlencode(query, errors="surrogatepass")
    return f"{path}?{text}" if text else path


def _body(schema: Mapping[str, Any]) -> st.SearchStrategy[bytes]:
    right = _like(schema).map(lambda value: json.dumps(value).encode())
    return _mostly(right, st.one_of(st.sampled_from(ODD_BYTES), st.binary(max_size=40)))


def _like(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Values that fit ``schema``, each part now and then replaced by one that need not."""
    return _mostly(_fitting(schema), st.deferred(lambda: ANYTHING))


def _fitting(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    match schema:
        case {"anyOf": [*branches]}:
            return st.one_of([_fitting(branch) for branch in branches])
        case {"enum": [*words]}:
            return st.sampled_from(words)
        case {"type": "object", "properties": dict() as properties}:
            needed = {name: _like(properties[name]) for name in schema.get("required", ())}
            optional = {
                name: _like(each) for name, each in properties.items() if name not in needed
            }
            return st.fixed_dictionaries(needed, optional=optional)
        case {"type": "object"}:
            return FORMS
        case {"type": "integer"}:
            low = schema.get("minimum", 0)
            return st.integers(low, min(schema.get("maximum", low + 9), low + 9))
        case {"type": "string"}:
            return st.sampled_from(TEXTS)
        case _:
            return st.none()


def _mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """``usual`` nine times out of ten."""
    return st.integers(0, 9).flatmap(lambda number: odd if number == 0 else usual)


TEXTS = ["v1", "compile-default", "seed.r08", "intentQ", "acme", "qa-1"]
FORMS = st.fixed_dictionaries(
    {"goal": st.text(min_size=1, max_size=12)},
    optional={"topic": st.sampled_from(["alpha", "beta"]), "choice": st.just("yes")},
)
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([*ODD_TEXTS, *ODD_NUMBERS]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(
        st.sampled_from(["", "bogus", "a/b~c", "\ud800", "__proto__"]), st.none(), max_size=2
    ),
)
