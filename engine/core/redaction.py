"""What is kept from whoever reads a pack: secrets, wherever in it they stand (D36)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

from engine.core.canon import Json
from engine.core.pointers import pointer

REDACTED: Final = "[redacted]"
SHORTEST: Final = 8  # a shorter secret could be part of any word; it is known by its place alone
_KEY: Final = r"(?:host|hostaddr|port|user|dbname)=\S+\s+"
_WORD: Final = r"(?:'(?:[^'\\]|\\.)*'|\S+)"
# A password in a URL or a connection string, and what an Authorization header offers.
PLACES: Final = (
    (re.compile(r"(?<=://)([^\s:/@]*):[^\s/@]+@"), rf"\1:{REDACTED}@"),
    (re.compile(rf"({_KEY}(?:\w+=\S+\s+)*password=){_WORD}"), rf"\1{REDACTED}"),
    (re.compile(rf"\b(password=){_WORD}(\s+{_KEY[:-3]})"), rf"\1{REDACTED}\2"),
    (re.compile(r"\b((?:Bearer|Basic) +)[A-Za-z0-9._~+/-]{16,}=*"), rf"\1{REDACTED}"),
)
Path: TypeAlias = "tuple[str | int, ...]"


def redacted(value: Json, secrets: Iterable[str]) -> tuple[Json, list[str]]:
    """``value`` without any secret, and the JSON pointers of the strings that had one."""
    known = sorted({each for each in secrets if len(each) >= SHORTEST}, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, known))) if known else None
    places: list[str] = []
    return _clean(value, (), _Cleaner(pattern, places.append)), places


class _Cleaner:
    """Takes secrets out of one string, and tells where it had to."""

    def __init__(self, known: re.Pattern[str] | None, tell: Callable[[str], None]) -> None:
        self._known = known
        self._tell = tell

    def __call__(self, text: str, path: Path) -> str:
        clean = text if self._known is None else self._known.sub(REDACTED, text)
        for pattern, instead in PLACES:
            clean = pattern.sub(instead, clean)
        if clean != text:
            self._tell(pointer(path))
        return clean


def _clean(value: Json, path: Path, cleaner: _Cleaner) -> Json:
    match value:
        case str():
            return cleaner(value, path)
        case list():
            return [_clean(item, (*path, n), cleaner) for n, item in enumerate(value)]
        case dict():
            return dict(_members(value, path, cleaner))
        case _:
            return value


def _members(value: dict[str, Json], path: Path, cleaner: _Cleaner) -> Iterator[tuple[str, Json]]:
    for name, item in value.items():
        yield cleaner(name, path), _clean(item, (*path, name), cleaner)
