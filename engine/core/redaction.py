"""What is kept from whoever reads a pack: secrets, wherever in it they stand (D36)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

from engine.core.canon import Json
from engine.core.pointers import pointer

REDACTED: Final = "[redacted]"
SHORTEST: Final = 8  # a shorter secret could be part of any word; it is known by its place alone
# A password in a URL, what an Authorization header offers, a password with its name.
_IN_URL: Final = re.compile(r"(?<=://)([^\s:/@]*):[^\s/@]+@")
_IN_HEADER: Final = re.compile(r"\b((?:Bearer|Basic) +)[A-Za-z0-9._~+/-]{16,}=*")
_NAMED: Final = re.compile(
    r"\b(password|passwd|pwd)=(?:'(?:[^'\\]|\\.){0,256}'|\"(?:[^\"\\]|\\.){0,256}\"|\S+)",
    re.IGNORECASE,
)
_CALLS: Final = re.compile(r"[A-Za-z_][\w.]*\(")  # a program, which is no value
Path: TypeAlias = "tuple[str | int, ...]"


def redact(value: Json, secrets: Iterable[str]) -> tuple[Json, list[str]]:
    """``value`` without any secret, and the JSON pointers of the strings that had one."""
    known = sorted({each for each in secrets if len(each) >= SHORTEST}, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, known))) if known else None
    places: list[str] = []
    return _clean(value, (), _Cleaner(pattern, places.append)), places


def is_redacted(value: Json) -> bool:
    """Whether something was taken out of this string, or of a key of this object."""
    match value:
        case str():
            return REDACTED in value
        case dict():
            return any(REDACTED in name for name in value)
        case _:
            return False


class _Cleaner:
    """Takes secrets out of one string, and tells where it had to."""

    def __init__(self, known: re.Pattern[str] | None, tell: Callable[[str], None]) -> None:
        self._known = known
        self._tell = tell

    def __call__(self, text: str, path: Path) -> str:
        clean = text if self._known is None else self._known.sub(REDACTED, text)
        clean = _IN_URL.sub(rf"\1:{REDACTED}@", clean)
        clean = _IN_HEADER.sub(rf"\1{REDACTED}", clean)
        clean = _NAMED.sub(_hide_value, clean)
        if clean != text:
            self._tell(pointer(path))
        return clean


def _hide_value(found: re.Match[str]) -> str:
    """``password=`` without what follows, unless that is a call, as in a program's text."""
    name, _, value = found[0].partition("=")
    is_call = _CALLS.match(value) and value.rstrip(",;:]}").endswith(")")
    return found[0] if is_call else f"{name}={REDACTED}"


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
        shown = cleaner(name, path)
        yield shown, _clean(item, (*path, shown), cleaner)
