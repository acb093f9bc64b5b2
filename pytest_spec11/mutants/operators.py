"""How one value of a reading is changed: by its type, so that it still looks like itself.

A reading is JSON, or what a driver makes of a column. Bytes and text that hold JSON are changed
inside, where a path leads into them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

Path = Sequence[str | int]

INSIDE: Final = "$"  # a step of a path: into the JSON that text or bytes hold
_DATED: Final = re.compile(r"\d{4}-\d\d-\d\d")
_NEXT: Final[Mapping[str, str]] = {"9": "8", "z": "y", "Z": "Y"}
_A_SECOND: Final = timedelta(seconds=1)
_A_DAY: Final = timedelta(days=1)


class NotThere(LookupError):
    """The path leads to nothing in this reading, or the change makes no sense there."""


def apply(reading: Any, path: Path, operator: str, value: Any = None) -> Any:
    """``reading`` with one place changed; the given one stays as it is. Raises NotThere."""
    if not path:
        return OPERATORS[operator](reading, value)
    key, rest = path[0], path[1:]
    if isinstance(reading, bytes | str):
        if key != INSIDE:
            raise NotThere(f"no {key!r}")
        return _change_inside(reading, lambda held: apply(held, rest, operator, value))
    if operator == "dropped" and not rest:
        return _drop(reading, key)
    try:
        changed = apply(reading[key], rest, operator, value)
    except (KeyError, IndexError, TypeError) as error:
        raise NotThere(f"no {key!r}") from error
    copied = list(reading) if isinstance(reading, list | tuple) else dict(reading)
    copied[key] = changed  # type: ignore[index]  # a list is asked by number, a mapping by name
    return copied


def change(value: Any) -> Any:
    """Another value of the same type: one more, the other truth, one character changed."""
    if value is None:
        return "altered"  # of what type it would be is not known
    for kind, changed in _CHANGES:
        if isinstance(value, kind):
            return changed(value)
    raise NotThere(f"a {type(value).__name__} has no neighbour")


def change_all(value: Any) -> Any:
    """Every value in it is another one; no list is longer or shorter, no key is gone."""
    if isinstance(value, Mapping):
        return {key: change_all(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [change_all(each) for each in value]
    return change(value)


def grow_all(value: Any) -> Any:
    """Every list in it that holds anything holds its last element twice."""
    if isinstance(value, Mapping):
        return {key: grow_all(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [grow_all(each) for each in (*value, *value[-1:])]
    return value


def _change_text(text: str) -> str:
    """The last character of a kind that has a neighbour is that one: a date stays a date."""
    if text.strip()[:1] in {"{", "["}:
        try:
            return json.dumps(change_all(json.loads(text)), ensure_ascii=False)
        except (ValueError, RecursionError):
            return _change_character(text)
    return _change_character(text)


def _change_character(text: str) -> str:
    fits = str.isdigit if _DATED.match(text) else str.isalnum
    for at in range(len(text) - 1, -1, -1):
        if text[at].isascii() and fits(text[at]):
            other = _NEXT.get(text[at]) or chr(ord(text[at]) + 1)
            return text[:at] + other + text[at + 1 :]
    return text + "x"


def _change_bytes(held: bytes) -> bytes:
    try:
        return _change_text(held.decode()).encode()
    except UnicodeDecodeError:
        return held[:-1] + bytes([held[-1] ^ 1])


_CHANGES: Final[Sequence[tuple[type | tuple[type, ...], Callable[[Any], Any]]]] = (
    (bool, lambda value: not value),
    ((int, float, Decimal), lambda value: value + 1),
    (str, _change_text),
    (bytes, _change_bytes),
    (memoryview, lambda value: _change_bytes(bytes(value))),
    (datetime, lambda value: value + _A_SECOND),
    (date, lambda value: value + _A_DAY),
    (timedelta, lambda value: value + _A_SECOND),
    (UUID, lambda value: UUID(int=value.int ^ 1)),
    (Mapping, change_all),
    ((list, tuple), change_all),
)


def _change_inside(held: bytes | str, changed: Callable[[Any], Any]) -> bytes | str:
    """Text that holds JSON, with that JSON changed. Raises NotThere for other text."""
    try:
        value = json.loads(held)
    except (ValueError, RecursionError) as error:
        raise NotThere("no JSON") from error
    made = json.dumps(changed(value), ensure_ascii=False)
    return made if isinstance(held, str) else made.encode()


def _drop(holder: Any, key: str | int) -> Any:
    if not isinstance(holder, Mapping) or key not in holder:
        raise NotThere(f"no {key!r}")
    return {name: each for name, each in holder.items() if name != key}


def _decrease(value: Any, _: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise NotThere("no number")
    return value - 1


def _empty(value: Any, _: Any) -> Any:
    if not isinstance(value, list | tuple | str | bytes) or not value:
        raise NotThere("nothing to take out")
    return type(value)()


def _shorten(value: Any, _: Any) -> Any:
    if not isinstance(value, list | tuple | bytes) or not value:
        raise NotThere("nothing to take off")
    return value[:-1]


def _double(value: Any, _: Any) -> Any:
    if not isinstance(value, list | tuple) or not value:
        raise NotThere("nothing to repeat")
    return [*value, value[-1]]


def _set_value(_: Any, value: Any) -> Any:
    return value


def _change_whole(value: Any, _: Any) -> Any:
    """Every value in a reading; text that holds JSON is changed inside."""
    if isinstance(value, bytes | str):
        if not value:
            raise NotThere("nothing to change")
        return _change_bytes(value) if isinstance(value, bytes) else _change_text(value)
    return change_all(value)


def _change_everything(reading: Any, value: Any) -> Any:
    """A reply or an exit: another code, every value changed, every list longer."""
    if not isinstance(reading, Mapping):
        raise NotThere("no reply")
    code, *rest = reading
    return {code: value, **{key: _change_part(key, reading[key]) for key in rest}}


def _change_part(key: str, part: Any) -> Any:
    if key == "headers":
        kept = {name: each for name, each in part.items() if name == "content-type"}
        return {**{name: change(each) for name, each in part.items()}, **kept}
    if not part:
        return part
    try:
        return _change_whole(_change_inside(part, grow_all), None)
    except NotThere:
        return _change_whole(part, None)


OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "changed": lambda value, _: change(value),
    "one less": _decrease,
    "null": lambda _, __: None,
    "emptied": _empty,
    "shortened": _shorten,
    "doubled": _double,
    "set": _set_value,
    "all changed": _change_whole,
    "everything": _change_everything,
    "absent": lambda _, __: None,
}
