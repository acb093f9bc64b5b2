"""The mutants of one test: derived from what it read in a green run, the most telling ones first.

What no test could foresee, such as a date, a fresh id or a header of transport, is left out by
rule: its shape says what it is.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final

from pytest_spec11.mutants.mutant import Mutant, find_shape
from pytest_spec11.mutants.operators import INSIDE

_FIELDS: Final = 60  # mutants of single fields of one reading, in a sample
_SHAPES: Final = 8  # of one source, in a sample
_MOST_FIELDS: Final = 2000  # of one reading, of which every mutant is wanted
_MOST_BYTES: Final = 1 << 20  # a larger reading is changed as a whole
_OF_TRANSPORT: Final = frozenset(
    {"age", "connection", "content-length", "date", "etag", "keep-alive", "last-modified"}
    | {"server", "set-cookie", "transfer-encoding", "vary", "via"}
)
_FRESH: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"  # a UUID
    r"|[0-9a-f]{16,}|\w+_[0-9a-zA-Z]{12,}|[0-9A-HJKMNP-TV-Z]{26}"  # digests, prefixed ids, ULIDs
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*"  # a time
)
_EPOCH_S: Final = 1_000_000_000
_OF_STACK: Final = frozenset({"process", "pid", "stack"})
_DONE: Final = frozenset({"signal", "readyAfterMs"})  # what a test did, not what it read
_OF_PAGE: Final = ("url", "selector", "texts")
_HIDDEN: Final = "[hidden]"
_STATUS: Final = ("status",)
_OK: Final = 200
_BROKEN: Final = 500


@dataclass(frozen=True)
class Reading:
    """One observation of a test in a green run, as a value that a mutant can change."""

    source: str
    ref: str
    digest: str
    read: Callable[[], Any]  # the value; it is asked for only where it is looked into

    @property
    def shape(self) -> str:
        """What was read, without what each run makes anew."""
        return find_shape(self.ref)


def make_reading(said: Mapping[str, Any], load: Callable[[], bytes | None]) -> Reading | None:
    """The reading behind an observation's record; None when nothing was read.

    ``load`` gives the bytes that the observation kept.
    """
    if said["empty"] or said["source"] == "provocation" or not said["size"]:
        return None

    def read() -> Any:
        return _value_of(said["source"], said["facts"], load())

    return Reading(said["source"], said["ref"], said["digest"], read)


def _value_of(source: str, facts: Mapping[str, Any], blob: bytes | None) -> Any:
    """The same shape that the oracle of this source gives to be changed."""
    if source == "api" and "status" in facts:
        headers = facts.get("responseHeaders", {})
        return {"status": facts["status"], "headers": headers, "body": blob or b""}
    if source.startswith("sql:") and blob is not None:
        return json.loads(blob)
    if source == "process" and "exitCode" in facts and blob is not None:
        return {"code": facts["exitCode"], "stdout": blob.strip(), "stderr": b""}
    if source == "browser":  # a picture is kept for people: no assertion reads it
        return {key: facts[key] for key in _OF_PAGE} if "texts" in facts else None
    if blob is not None:
        return blob
    return {key: each for key, each in facts.items() if key not in _OF_STACK | _DONE}


def list_mutants(
    readings: Sequence[Reading], seed: str, *, exhaustive: bool = False
) -> dict[str, list[Mutant]]:
    """By source, mutants of what a test read, those that tell most at once first.

    The order within a rank is the seed's. Unless ``exhaustive``, it is a sample: of the shapes
    that were read last, and of the first fields of each.
    """
    found: dict[str, list[tuple[tuple[int, str], Mutant]]] = defaultdict(list)
    shapes: Counter[str] = Counter()
    for shape, same in _by_shape(readings):
        source = same[-1].source
        late, shapes[source] = shapes[source], shapes[source] + 1
        if late < _SHAPES or exhaustive:
            for rank, mutant in _mutants_of(shape, same, _MOST_FIELDS if exhaustive else _FIELDS):
                dice = sha256(f"{seed} {mutant}".encode()).hexdigest()
                place = rank if rank >= _FIELD else rank + late
                found[source].append(((place, dice), mutant))
    return {
        source: [mutant for _, mutant in sorted(some, key=lambda each: each[0])]
        for source, some in found.items()
    }


def _by_shape(readings: Sequence[Reading]) -> list[tuple[str, list[Reading]]]:
    """Readings of one source and shape together, what was read last first."""
    found: dict[tuple[str, str], list[Reading]] = {}
    for each in readings:
        key = each.source, each.shape
        same = found.pop(key, [])
        same.append(each)
        found[key] = same
    return [(shape, same) for (_, shape), same in reversed(found.items())]


# Ranks: what tells most at once comes first, and last what proves nothing. Up to the sizes, a shape
# that was read earlier stands one rank further back.
_ALL, _WHOLE, _CODE, _SIZE, _AGAIN = range(5)
_FIELD, _TYPE = 1000, 2000


def _mutants_of(shape: str, same: Sequence[Reading], most: int) -> Iterator[tuple[int, Mutant]]:
    """The mutants of all readings of one shape, each with its rank; ``most`` bounds the fields."""
    last, modes = same[-1], _modes(same)
    for rank, found in _changes(last.source, last.read(), most):
        mutant = replace(found, source=last.source, shape=shape)
        for place, nth in enumerate(modes):
            again = _AGAIN if place and rank < _AGAIN else rank
            yield again, replace(mutant, nth=nth)
    if len({each.digest for each in same}) > 1 and last.source == "api":
        stale = _mutant(("body",), "stale", "the body of an earlier reply")
        yield _AGAIN, replace(stale, source=last.source, shape=shape, nth=len(same) - 1)


def _modes(same: Sequence[Reading]) -> list[int | None]:
    """Which readings of a shape are changed: equal ones are compared, so only the last is."""
    if len(same) == 1:
        return [None]
    compared = len({each.digest for each in same}) < len(same)
    last = len(same) - 1
    return [last, None, 0] if compared else [None, last, 0]


def _changes(source: str, value: Any, most: int) -> Iterator[tuple[int, Mutant]]:
    fields = 0
    for rank, mutant in _all_changes(source, value) if value else ():
        fields += rank >= _FIELD
        if fields > most:
            return
        yield rank, mutant


def _all_changes(source: str, value: Any) -> Iterator[tuple[int, Mutant]]:
    if source == "api" and isinstance(value, dict) and "status" in value:
        yield from _changes_of_reply(value)
    elif source == "file":
        yield _SIZE, _mutant((), "absent", "the file")
        yield from _changes_of_content(value, (), "the bytes")
    elif source == "process":
        yield from _changes_of_process(value)
    else:
        yield from _changes_of_content(value, (), "$")


def _changes_of_reply(reply: Mapping[str, Any]) -> Iterator[tuple[int, Mutant]]:
    other = _BROKEN if reply["status"] < 400 else _OK  # noqa: PLR2004  # the errors begin there
    yield _ALL, _mutant((), "everything", "the whole reply", value=other)
    yield _CODE, _mutant(_STATUS, "set", "status", value=other)
    if reply["status"] < 300:  # noqa: PLR2004  # the success ends there
        sibling = 202 if reply["status"] == _OK else _OK
        yield _FIELD, _mutant(_STATUS, "set", "status", value=sibling)
    yield from _changes_of_content(reply["body"], ("body",), "$")
    for name, value in reply["headers"].items():
        if name not in _OF_TRANSPORT and _is_foreseeable(value):
            yield _FIELD, _mutant(("headers", name), "changed", f"header {name}")
            yield _FIELD, _mutant(("headers", name), "dropped", f"header {name}")


def _changes_of_process(found: Mapping[str, Any] | bytes) -> Iterator[tuple[int, Mutant]]:
    if isinstance(found, bytes) or "code" not in found:
        yield from _changes_of_content(found, (), "$")
        return
    code = 1 if found["code"] == 0 else 0
    yield _ALL, _mutant((), "everything", "exit code and output", value=code)
    yield _CODE, _mutant(("code",), "set", "exit code", value=code)
    if found["stdout"]:
        yield from _changes_of_content(found["stdout"], ("stdout",), "output")
        yield _AGAIN, _mutant(("stderr",), "all changed", "error output")


def _changes_of_content(
    value: Any, path: tuple[str | int, ...], root: str
) -> Iterator[tuple[int, Mutant]]:
    """Changes of a body, of rows, of bytes: the whole, then every field that they hold."""
    if value in (b"", None):
        return
    yield _WHOLE, _mutant(path, "all changed", f"every value of {root}")
    held = _parse(value)
    if held is None:
        yield _SIZE, _mutant(path, "emptied", root)
        yield _SIZE, _mutant(path, "shortened", root)
        return
    if isinstance(value, bytes):
        yield _TYPE, _mutant(path, "emptied", root, proves=False)
        path = (*path, INSIDE)
    yield from _changes_of_fields(held, path, root)


def _parse(value: Any) -> Any:
    """The JSON that bytes hold, if they do; what is no bytes is that value already."""
    if not isinstance(value, bytes):
        return value
    try:
        return json.loads(value) if len(value) <= _MOST_BYTES else None
    except (ValueError, RecursionError):
        return None


def _changes_of_fields(
    value: Any, path: tuple[str | int, ...], field: str
) -> Iterator[tuple[int, Mutant]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield _FIELD, _mutant((*path, key), "dropped", f"{field}.{key}")
            yield from _changes_of_fields(each, (*path, key), f"{field}.{key}")
    elif isinstance(value, list):
        yield from _changes_of_list(value, path, field)
    elif value is not None and _is_foreseeable(value):
        yield from _changes_of_leaf(value, path, field)
    elif value is None:
        yield _FIELD, _mutant(path, "changed", field)
    if value is not None and path:
        yield _TYPE, _mutant(path, "null", field, proves=False)


def _changes_of_list(
    value: Sequence[Any], path: tuple[str | int, ...], field: str
) -> Iterator[tuple[int, Mutant]]:
    if not value:
        return
    whole = _SIZE if field.count(".") <= 1 else _FIELD
    for operator in (
        ("emptied", "doubled", "shortened") if len(value) > 1 else ("emptied", "doubled")
    ):
        yield whole, _mutant(path, operator, field)
    yield _FIELD, _mutant((*path, 0), "all changed", f"{field}[0]")
    for index in sorted({0, len(value) - 1}):
        yield from _changes_of_fields(value[index], (*path, index), f"{field}[*]")


def _changes_of_leaf(
    value: Any, path: tuple[str | int, ...], field: str
) -> Iterator[tuple[int, Mutant]]:
    yield _FIELD, _mutant(path, "changed", field)
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield _FIELD, _mutant(path, "one less", field)
    if isinstance(value, str) and value:
        yield _FIELD, _mutant(path, "emptied", field)


def _is_foreseeable(value: Any) -> bool:
    """Whether a test could know such a value: it is no fresh id and no time."""
    if isinstance(value, str):
        return value != _HIDDEN and not _FRESH.fullmatch(value)
    return isinstance(value, bool) or not isinstance(value, int | float) or value < _EPOCH_S


def _mutant(
    path: Iterable[str | int], operator: str, field: str, *, value: Any = None, proves: bool = True
) -> Mutant:
    return Mutant(
        source="", shape="", nth=None, path=tuple(path), operator=operator, field=field,
        value=value, proves=proves,
    )  # fmt: skip
