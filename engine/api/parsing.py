"""Bytes in, a wire model out: strict JSON, with limits before reading and before parsing."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import cache
from typing import Any, Final, Never, TypeVar

from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request

from engine.contracts.base import Wire
from engine.core.canon import MAX_SAFE_INTEGER, Json
from engine.core.pointers import pointer
from engine.errors import Malformed, count_faults

MAX_BODY: Final = 1024 * 1024
MAX_DRAINED: Final = 16 * MAX_BODY  # read and dropped, so that the client reads the refusal
BODY_S: Final = 10.0
MAX_DEPTH: Final = 64
MAX_FAULTS: Final = 100
_LONG: Final = 20  # a number of this many characters is surely larger than an exact double
_WHOLE: Final = re.compile(r"-?[0-9]{1,9}")
# A text without an end is taken to the end of the body: no character is read twice.
_TEXT_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
ON_LOOP: Final = 4096  # a thread parses a larger body, so that the loop can answer others
_PARSER: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="parser")

Body = TypeVar("Body", bound=Wire)


async def body(request: Request, model: type[Body]) -> Body:
    """The request's body as ``model``. Raises Malformed. Call it before anything is written."""
    sent = await raw(request)
    if len(sent) <= ON_LOOP:
        return _parse(model, sent)
    return await asyncio.get_running_loop().run_in_executor(_PARSER, _parse, model, sent)


def _parse(model: type[Body], sent: bytes) -> Body:
    return parse_as(model, strict_json(sent))


async def nothing(request: Request) -> None:
    """Accept no body or an empty object. Raises Malformed for anything else."""
    if sent := (await raw(request)).strip():
        parse_as(Wire, strict_json(sent), "body")


def query(request: Request, model: type[Body]) -> Body:
    """The request's query as ``model``, with whole numbers as numbers. Raises Malformed."""
    pairs = request.query_params.multi_items()
    if len(texts := dict(pairs)) < len(pairs):
        raise make_refusal("Query", [((), "a name may be given once")])
    if nuls := [name for name, text in pairs if "\0" in text]:
        raise make_refusal("Query", [((name,), "NUL in a text") for name in nuls])
    numbers = _numbers(model)
    values = {name: _read(text) if name in numbers else text for name, text in texts.items()}
    return parse_as(model, values, "Query")


@cache
def _numbers(model: type[Wire]) -> frozenset[str]:
    """The names of a query whose values are whole numbers; other values may look like numbers."""
    properties = model.model_json_schema().get("properties", {})
    return frozenset(name for name, each in properties.items() if each.get("type") == "integer")


def _read(text: str) -> int | str:
    return int(text) if _WHOLE.fullmatch(text) else text


def parse_as(model: type[Body], value: Any, name: str | None = None) -> Body:
    """``value`` as ``model``. Raises Malformed that names every fault by its JSON pointer."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        named = ((_place(value, fault["loc"]), fault["msg"]) for fault in faults)
        raise make_refusal(name or model.__name__, named) from error


def _place(value: Any, path: tuple[str | int, ...]) -> Iterator[str | int]:
    """The place of a fault in ``value``: ``path`` without the names of a union's branches."""
    for name in path[:-1]:
        if (isinstance(value, dict) and name in value) or isinstance(name, int):
            value = value[name]
            yield name
    yield from path[-1:]  # a missing key is in no value


def make_refusal(name: str, faults: Iterable[tuple[Iterable[str | int], str]]) -> Malformed:
    """The refusal of a ``name`` with these faults, each a path and a text."""
    details = [{"pointer": pointer(path), "message": message} for path, message in faults]
    message = f"invalid {name}: {count_faults(len(details))}"
    return Malformed(message, code="invalid_request", details=details[:MAX_FAULTS])


def strict_json(raw: bytes) -> Json:
    """The one value in ``raw``. Raises Malformed for all that does not have one exact meaning.

    That is: invalid UTF-8, a byte-order mark, NaN and infinities, numbers that no double has,
    lone surrogates, NUL, a repeated key, more than 64 levels, and no value at all.
    """
    try:
        text = raw.decode()
        _require_shallow(text)
        value: Json = _DECODER.decode(text)
        if "\\u" in text:
            _require_text(value)
    except ValueError as error:
        raise Malformed("invalid json", code="invalid_json") from error
    return value


async def raw(request: Request) -> bytes:
    """The bytes of the body, read from the client once. Raises Malformed."""
    if not hasattr(request.state, "raw_body"):
        request.state.raw_body = await _bytes(request)
    kept: bytes = request.state.raw_body
    return kept


async def _bytes(request: Request) -> bytes:
    length = request.headers.get("content-length", "0")
    declared = int(length) if length.isdecimal() else 0
    if declared > MAX_DRAINED:
        raise _too_large()
    try:
        async with asyncio.timeout(BODY_S):
            return await _read_body(request, declared)
    except TimeoutError as error:
        raise Malformed("body too slow", code="body_too_slow") from error
    except ClientDisconnect as error:
        raise Malformed("body cut off", code="invalid_json") from error


async def _read_body(request: Request, declared: int) -> bytes:
    """The whole body. If it is too large, keep nothing and drop the rest."""
    kept, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_DRAINED:
            break
        if max(size, declared) <= MAX_BODY:
            kept.append(chunk)
        else:
            kept.clear()
    if size > MAX_BODY:
        raise _too_large()
    return b"".join(kept)


def _too_large() -> Malformed:
    return Malformed("body too large", code="body_too_large")


def _require_shallow(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for token in _TEXT_OR_BRACKET.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > MAX_DEPTH:
            raise ValueError("nested too deeply")


def _require_text(value: Json) -> None:
    for text in _texts(value):
        if "\0" in text:
            raise ValueError("NUL in a string")
        text.encode()  # UnicodeEncodeError, a ValueError, for a lone surrogate


def _texts(value: Json) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts(item)
        case dict():
            yield from value
            for item in value.values():
                yield from _texts(item)
        case _:
            pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("repeated key")
    return found


def _integer(text: str) -> int | float:
    if len(text) < _LONG and abs(value := int(text)) <= MAX_SAFE_INTEGER:
        return value
    return _large(text)


def _float(text: str) -> float:
    """The number in ``text``. As in JSON, 1.0 and 1e0 are the whole number 1."""
    if abs(value := float(text)) > MAX_SAFE_INTEGER:
        return _large(text)
    return int(value) if value.is_integer() else value


def _large(text: str) -> float:
    """A number beyond 2**53 - 1 in any spelling. Raises ValueError unless a double has it.

    A double has it if the shortest digits that read back as the double are this number.
    """
    if not math.isfinite(value := float(text)) or Decimal(repr(value)) != Decimal(text):
        raise ValueError("no double has this number")
    return value


def _constant(text: str) -> Never:
    raise ValueError(f"{text} is not JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
