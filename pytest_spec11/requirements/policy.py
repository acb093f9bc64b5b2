"""The policy: what a release needs beyond the catalogue, in ``spec11.toml`` of the work tree.

It can add demands but never remove one: it has no key that waives anything.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from pytest_spec11.canon import canonical, digest
from pytest_spec11.errors import BadInput

FILE: Final = "spec11.toml"
MAX_AGE_H: Final = 24.0
MAX_SKEW_S: Final = 120.0
_LIMIT: Final = 1 << 20
_WAIVER: Final = re.compile(
    r"waive|exempt|ignore|allow|skip|known|quarantin|except|optional", re.IGNORECASE
)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FOLDER: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_VERSION: Final = re.compile(r"[!-~]{1,200}")
_KEY: Final = re.compile(r"[0-9a-f]{64}")
_FIELD: Final = 2**255 - 19
_ORDER_8: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_TORSION: Final = frozenset({0, 1, _FIELD - 1, _ORDER_8, _FIELD - _ORDER_8})

Table: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The demands of a release. The defaults apply to a tree without a policy."""

    app_version: str = ""  # the version to release; if empty, a command's option names it
    catalogue: str = ""  # the file with the claims, below the root; if empty, see tree_catalogue
    mandatory: tuple[str, ...] = ()  # needed claims, in addition to those of the catalogue
    max_age_h: float = MAX_AGE_H
    clock_skew_s: float = MAX_SKEW_S
    shards: tuple[str, ...] = ()  # each of them must have run
    tests: tuple[str, ...] = ()  # folders whose tests must all have run; if empty, the whole tree
    rehearsal: bool = False  # a throwaway tree: its GO is marked and never counts for another tree
    threshold: int = 0  # how many different keys must sign
    keys: tuple[str, ...] = ()  # Ed25519, the raw public key in hex
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)

    def choose_version(self, told: str) -> str:
        """The version to release: the one of a command's option, or the policy's own."""
        return told or self.app_version

    @property
    def content(self) -> bytes:
        """The bytes of the policy that a run seals."""
        return canonical(dict(self.document))

    @property
    def digest(self) -> str:
        """sha256 of :attr:`content`."""
        return digest(dict(self.document))


def load(root: Path) -> Policy:
    """The policy of a work tree. Raises BadInput if the file is not a policy or names a waiver."""
    path = root / FILE
    try:
        if not path.is_file():
            return Policy()
        with path.open("rb") as file:
            content = file.read(_LIMIT + 1)
    except OSError as error:
        raise BadInput(f"policy {path}: {error}") from error
    return read(content, str(path))


def read(content: bytes, name: str = FILE) -> Policy:
    """The policy in ``content``. Raises BadInput that names every fault."""
    if len(content) > _LIMIT:
        raise BadInput(f"policy {name}: larger than {_LIMIT} bytes")
    try:
        document = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise BadInput(f"policy {name}: {error}") from error
    faults = list(_faults(document))
    if faults:
        raise BadInput(f"policy {name}: {'; '.join(faults)}")
    release, signing = document.get("release", {}), document.get("signing", {})
    return Policy(
        app_version=release.get("app_version", ""),
        catalogue=release.get("catalogue", ""),
        mandatory=tuple(release.get("mandatory", ())),
        max_age_h=float(release.get("max_age_h", MAX_AGE_H)),
        clock_skew_s=float(release.get("clock_skew_s", MAX_SKEW_S)),
        shards=tuple(release.get("shards", ())),
        tests=tuple(release.get("tests", ())),
        rehearsal=release.get("rehearsal", False),
        threshold=signing.get("threshold", 0),
        keys=tuple(signing.get("keys", ())),
        thresholds=MappingProxyType(document.get("thresholds", {})),
        document=MappingProxyType(document),
    )


def _faults(document: Table) -> Iterator[str]:
    for path in _paths(document):
        if _WAIVER.search(path):
            yield f"{path}: there are no waivers; change the claim in the catalogue, by a commit"
    for table, fields in document.items():
        if table not in _TABLES:
            yield f"{table}: no such table; there are {', '.join(_TABLES)}"
        elif not isinstance(fields, dict):
            yield f"{table}: not a table"
        else:
            yield from _TABLES[table](table, fields)


def _paths(table: Table, before: str = "") -> Iterator[str]:
    for key, value in table.items():
        yield f"{before}{key}"
        if isinstance(value, dict):
            yield from _paths(value, f"{before}{key}.")


def _close_table(
    checks: Mapping[str, Callable[[Any], str]],
) -> Callable[[str, Table], Iterator[str]]:
    def check(name: str, table: Table) -> Iterator[str]:
        for key, value in table.items():
            if key not in checks:
                yield f"{name}.{key}: no such key; there are {', '.join(checks)}"
            elif wrong := checks[key](value):
                yield f"{name}.{key}: {value!r} {wrong}"

    return check


def _signing(name: str, table: Table) -> Iterator[str]:
    yield from _close_table({"threshold": _count, "keys": _keys})(name, table)
    threshold, keys = table.get("threshold"), table.get("keys")
    if type(threshold) is not int or not isinstance(keys, list) or threshold > len(keys):
        yield f"{name}: needs a threshold and at least that many keys"


def _bounds(name: str, table: Table) -> Iterator[str]:
    for key, value in table.items():
        good = isinstance(value, dict) and value and value.keys() <= {"max", "min"}
        if not good or any(_amount(each) for each in value.values()):
            yield f"{name}.{key}: not a table of max, min or both, which are numbers"


def _names(value: Any) -> str:
    good = isinstance(value, list) and len({*map(str, value)}) == len(value)
    good = good and all(isinstance(each, str) and _NAME.fullmatch(each) for each in value)
    return "" if good else "is not a list of different names"


def _folders(value: Any) -> str:
    good = isinstance(value, list) and value and len({*map(str, value)}) == len(value)
    good = good and all(isinstance(each, str) and _FOLDER.fullmatch(each) for each in value)
    return "" if good else "is not a list of different folders of the tree"


def _file(value: Any) -> str:
    good = isinstance(value, str) and _FOLDER.fullmatch(value)
    return "" if good else "is not a file of the tree"


def _keys(value: Any) -> str:
    good = isinstance(value, list) and len({*map(str, value)}) == len(value)
    good = good and all(isinstance(each, str) and _KEY.fullmatch(each) for each in value)
    if not good:
        return "is not a list of different keys of 64 lower-case hex digits"
    return "" if all(map(_is_strong, value)) else "has a key under which everybody can sign"


def _is_strong(key: str) -> bool:
    """Whether a signature under the key needs its private half.

    The last bit is a sign. The rest is a coordinate below 2**255 - 19, and not that of a point
    which generates a group of at most 8 points.
    """
    place = int.from_bytes(bytes.fromhex(key), "little") % 2**255
    return place < _FIELD and place not in _TORSION


def _amount(value: Any) -> str:
    good = type(value) in {int, float} and math.isfinite(value)
    return "" if good else "is not a number"


def _count(value: Any) -> str:
    return "" if type(value) is int and value >= 1 else "is not a whole number above 0"


def _at_most(limit: float) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        good = not _amount(value) and 0 < value <= limit
        return "" if good else f"is not a number above 0 and at most {limit:g}"

    return check


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else "is not true or false"


def _lanes(name: str, table: Table) -> Iterator[str]:
    for lane, fields in table.items():
        if not isinstance(fields, dict) or not _NAME.fullmatch(lane):
            yield f"{name}.{lane}: not a table under a plain name"
        else:
            yield from _LANE(f"{name}.{lane}", fields)
            if "steps" not in fields:
                yield f"{name}.{lane}.steps: is missing"


def _name(value: Any) -> str:
    return "" if isinstance(value, str) and _NAME.fullmatch(value) else "is not a plain name"


def _version(value: Any) -> str:
    return "" if isinstance(value, str) and _VERSION.fullmatch(value) else "is not a version"


def _commands(value: Any) -> str:
    good = isinstance(value, dict) and value and all(map(_NAME.fullmatch, value))
    good = good and all(
        isinstance(each, list) and each and all(isinstance(word, str) and word for word in each)
        for each in value.values()
    )
    return "" if good else "is not a table of commands, each a list of words"


_LANE: Final = _close_table({"after": _name, "deadline_s": _at_most(86_400), "steps": _commands})

_TABLES: Final[Mapping[str, Callable[[str, Table], Iterator[str]]]] = MappingProxyType(
    {
        "release": _close_table(
            {
                "app_version": _version,
                "catalogue": _file,
                "mandatory": _names,
                "max_age_h": _at_most(MAX_AGE_H),
                "clock_skew_s": _at_most(MAX_SKEW_S),
                "shards": _names,
                "tests": _folders,
                "rehearsal": _flag,
            }
        ),
        "signing": _signing,
        "thresholds": _bounds,
        "lanes": _lanes,
    }
)
