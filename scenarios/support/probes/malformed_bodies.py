"""Bodies that break their schema in exactly one place, and bodies that are not JSON."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Path: TypeAlias = "tuple[str, ...]"
KEYWORDS = frozenset(
    [
        *("type", "enum", "properties", "required", "additionalProperties"),
        *("minLength", "maxLength", "minimum", "maximum", "pattern"),
        *("items", "minItems", "maxItems"),
        *("title", "description", "default"),  # these forbid nothing
    ]
)
HOLE = "@"  # the place of a malformed value in an otherwise perfect body

# Each of these in the hole of a perfect body makes it unreadable.
UNREADABLE: Mapping[str, bytes] = {
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "-Infinity": b"-Infinity",
    "a number beyond doubles": b"1e999",
    "a lone high surrogate": rb'"\ud800"',
    "a lone low surrogate": rb'"\udfff"',
    "NUL, escaped": rb'"\u0000"',
    "NUL, raw": b'"\0"',
    "cut UTF-8": b'"\xe2\x82"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "a repeated key": b'{"a": 1, "a": 1}',
    "10,000 levels": b"[" * 10_000 + b"]" * 10_000,
    "nothing": b"",
    "a comment": b'/* yes */ "x"',
    "single quotes": b"'x'",
}


# JSON that no request's schema allows.
NO_OBJECTS = ("[]", "[{}]", "1", '"text"', "null", "true")


NOTHING = ("empty", "white space")  # of the unreadable ones: no body at all


def unreadable(text: str) -> dict[str, bytes]:
    """The body ``text``, which has a HOLE, each time with one value that is not JSON."""
    body, hole = text.encode(), f'"{HOLE}"'.encode()
    in_place = {name: body.replace(hole, value) for name, value in UNREADABLE.items()}
    return in_place | {
        "an open brace": b"{bad",
        "empty": b"",
        "white space": b" \n",
        "cut off": body[:-1],
        "two values": body + body,
        "a byte-order mark": b"\xef\xbb\xbf" + body,
        "UTF-16": text.encode("utf-16"),
    }


@dataclass(frozen=True)
class Mutant:
    """A body with one fault: the change, and the JSON pointer of its place."""

    what: str
    pointer: str
    body: Any


def mutants(schema: Mapping[str, Any], body: Any) -> Iterator[Mutant]:
    """Every single violation of ``schema``, each in a ``body`` that has every key.

    Raises AssertionError for a schema with a keyword that this code cannot break.
    """
    for what, path, fault in _faults(schema, body, ()):
        yield Mutant(f"{pointer(path)} {what}", pointer(path), _with(body, path, fault))


def pointer(path: Path) -> str:
    """``path`` as a JSON pointer."""
    return "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in path)


GONE = object()


def _faults(schema: Mapping[str, Any], value: Any, path: Path) -> Iterator[tuple[str, Path, Any]]:
    if "oneOf" in schema:
        yield from _branch(schema, value, path)
        return
    plain, nullable = _plain(schema)
    assert plain.keys() <= KEYWORDS, f"{pointer(path)} is bound in an unknown way: {plain}"
    if path:
        yield from (
            (f"= {fault!r:.40}", path, fault) for fault in _misfits(plain, nullable=nullable)
        )
    if "items" in plain:
        yield from _items(plain, value, path)
    if "properties" not in plain:
        return
    assert plain.get("additionalProperties") is False, f"{pointer(path)} is not closed"
    assert value.keys() == plain["properties"].keys(), f"{pointer(path)} is not filled"
    yield "is unknown", (*path, "bogus"), 1
    yield from (("is missing", (*path, name), GONE) for name in plain.get("required", ()))
    for name, item in value.items():
        yield from _faults(plain["properties"][name], item, (*path, name))


def _items(schema: Mapping[str, Any], value: Any, path: Path) -> Iterator[tuple[str, Path, Any]]:
    """Of an array: too few or too many, and every fault of each item that ``value`` has."""
    assert value, f"{pointer(path)} is not filled"
    if "minItems" in schema:
        yield "is too short", path, value[: schema["minItems"] - 1]
    if "maxItems" in schema:
        yield "is too long", path, value[:1] * (schema["maxItems"] + 1)
    for index, item in enumerate(value):
        yield from _faults(schema["items"], item, (*path, str(index)))


def _branch(schema: Mapping[str, Any], value: Any, path: Path) -> Iterator[tuple[str, Path, Any]]:
    """Of one of several objects, told apart by a word: no such word, and the faults of its own."""
    word = schema["discriminator"]["propertyName"]
    bare = {name: item for name, item in value.items() if name != word}
    yield from ((f"= {fault!r:.40}", path, fault) for fault in (bare, {**value, word: "bogus"}))
    (own,) = (each for each in schema["oneOf"] if each["properties"][word]["const"] == value[word])
    properties = {name: each for name, each in own["properties"].items() if name != word}
    required = [name for name in own["required"] if name != word]
    yield from _faults({**own, "properties": properties, "required": required}, bare, path)


def _plain(schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """``schema`` without its null branch, and whether it had one."""
    if "anyOf" not in schema:
        return schema, False
    (plain,) = (each for each in schema["anyOf"] if each.get("type") != "null")
    return plain, True


def _misfits(schema: Mapping[str, Any], *, nullable: bool) -> Iterator[Any]:
    """Values of the wrong type, one beyond each bound, none coerced."""
    if not nullable:
        yield None
    match schema:
        case {"enum": [*_]}:
            yield from ("bogus", "", 1, ["bogus"])
        case {"type": "string"}:
            yield from (1, True, [], {})
            yield from ("x" * (schema[name] + off) for name, off in _LENGTHS if name in schema)
            yield from _MISMATCHES[schema["pattern"]] if "pattern" in schema else ()
        case {"type": "integer"}:
            yield from ("1", 1.5, True, [1])
            yield from (schema[name] + off for name, off in _BOUNDS if name in schema)
        case {"type": "object"}:
            yield from ("{}", 1, [])
        case {"type": "array"}:
            yield from ("[]", 1, {})
        case _:
            raise AssertionError(f"no mutants are known of {schema}")


_MISMATCHES = {
    r"\S": ("", " \t"),
    r"^[a-z0-9][a-z0-9:_-]{0,127}$": ("", "G", "a/b", "a b", "ä"),
    r"^(human|sys):[a-z0-9][a-z0-9:_-]{0,127}$": ("", "human", "human:", "Human:x", "user:x"),
}
_LENGTHS = (("minLength", -1), ("maxLength", 1))
_BOUNDS = (("minimum", -1), ("maximum", 1))


def _with(body: Any, path: Path, fault: Any) -> Any:
    """``body`` with ``fault`` at ``path``; GONE takes the key away."""
    changed = copy.deepcopy(body)
    place = changed
    for name in path[:-1]:
        place = place[_key(place, name)]
    if fault is GONE:
        del place[path[-1]]
    else:
        place[_key(place, path[-1])] = fault
    return changed


def _key(place: Any, name: str) -> Any:
    return int(name) if isinstance(place, list) else name
