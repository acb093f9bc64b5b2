"""The catalogue: every claim of the product, its scenario, and what must prove it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pytest_spec11.canon import canonical, digest
from pytest_spec11.errors import BadInput

PACKAGED = Path(__file__).with_name("catalogue.json")


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence about the product that a test may prove."""

    id: str
    scenario: str
    text: str
    sources: tuple[str, ...]
    scopes: tuple[str, ...]
    mandatory: bool
    saboteurs: tuple[str, ...]

    def is_needed(self, scope: str, besides: Collection[str] = ()) -> bool:
        """Whether a sign-off of ``scope`` must prove this claim; ``demo`` counts as ``signoff``.

        ``besides`` are ids that a policy adds to those of the catalogue.
        """
        asked = self.mandatory and ("signoff" if scope == "demo" else scope) in self.scopes
        return asked or self.id in besides


@dataclass(frozen=True, slots=True)
class Scenario:
    """A group of claims that tests prove together."""

    id: str
    title: str
    summary: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of the sign-off: it is GO when all its claims are proven."""

    id: str
    claims: tuple[str, ...]
    kills: bool  # and also the whole kill matrix


@dataclass(frozen=True, slots=True)
class Trigger:
    """A live condition that revokes a GO. Its claims say that it flips in both directions.

    The engine checks it on the running system; a bundle cannot know what comes after it (D30).
    """

    id: str
    label: str
    claims: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stance:
    """A setting that the target must have at a scope; ``code`` is the reason if it does not."""

    key: str
    scopes: tuple[str, ...]
    values: tuple[str, ...]
    code: str


@dataclass(frozen=True)
class Catalogue:
    """All scenarios, the words that their texts use, and the digest of the whole document."""

    scenarios: tuple[Scenario, ...]
    document: Mapping[str, Any]
    tiles: tuple[Tile, ...]
    posture: tuple[Stance, ...]
    lanes: tuple[str, ...]  # the project's own lanes, each with a record
    triggers: tuple[Trigger, ...]

    def __post_init__(self) -> None:
        by_id = self.claims
        if len(by_id) != sum(len(each.claims) for each in self.scenarios) or not by_id:
            raise BadInput("catalogue: no claims, or two claims of one id")
        if left := sorted(by_id.keys() ^ {id_ for tile in self.tiles for id_ in tile.claims}):
            raise BadInput(f"catalogue: tiles and claims differ by {', '.join(left[:3])}")
        if strange := sorted({id_ for each in self.triggers for id_ in each.claims} - by_id.keys()):
            raise BadInput(f"catalogue: triggers name unknown claims: {', '.join(strange[:3])}")

    def list_needed(self, scope: str, besides: Collection[str] = ()) -> tuple[str, ...]:
        """The claims that a sign-off of ``scope`` has to prove; ``besides`` as for a claim."""
        return tuple(id_ for id_, each in self.claims.items() if each.is_needed(scope, besides))

    @cached_property
    def content(self) -> bytes:
        """The bytes of the document that a run seals."""
        return canonical(dict(self.document))

    @cached_property
    def digest(self) -> str:
        """sha256 of :attr:`content`."""
        return digest(dict(self.document))

    @property
    def sources(self) -> Mapping[str, str]:
        """The meaning of each source, for a reader."""
        return MappingProxyType(self.document.get("sources", {}))

    @property
    def words(self) -> Mapping[str, str]:
        """The meaning of the words that the texts use, for a reader."""
        return MappingProxyType(self.document.get("words", {}))

    @property
    def cells(self) -> frozenset[tuple[str, str]]:
        """Every pair of a saboteur and a claim that it must turn red."""
        return frozenset(
            (name, id_) for id_, each in self.claims.items() for name in each.saboteurs
        )

    @cached_property
    def claims(self) -> Mapping[str, Claim]:
        """Every claim by its id, in the order of the document."""
        found = [claim for scenario in self.scenarios for claim in scenario.claims]
        return MappingProxyType({claim.id: claim for claim in found})

    def find(self, id_: str) -> Claim | None:
        """The claim of this id, if it exists."""
        return self.claims.get(id_)

    def closest(self, id_: str) -> str | None:
        """The known id that is most similar to a mistyped one."""
        return next(iter(get_close_matches(id_, self.claims, n=1, cutoff=0.5)), None)


def load(path: Path | None = None) -> Catalogue:
    """The catalogue in ``path``, or the packaged one; read once per process.

    Raises BadInput when the file is not a catalogue.
    """
    return _load((path or PACKAGED).resolve())


@lru_cache(maxsize=16)
def _load(path: Path) -> Catalogue:
    try:
        return parse_catalogue(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"catalogue {path}: {type(error).__name__}: {error}") from error


def parse_catalogue(document: dict[str, Any]) -> Catalogue:
    """The catalogue in a document. Raises KeyError, TypeError or BadInput when it is not one."""
    scenarios = tuple(_scenario(item) for item in document["scenarios"])
    for legend in ("sources", "words"):
        _legend(document.get(legend, {}))
    return Catalogue(
        scenarios,
        MappingProxyType(document),
        tuple(map(_tile, document["tiles"])) if "tiles" in document else _plain(scenarios),
        tuple(map(_stance, document.get("posture", []))),
        _words(document["lanes"]) if "lanes" in document else (),
        tuple(map(_trigger, document.get("triggers", []))),
    )


def _plain(scenarios: tuple[Scenario, ...]) -> tuple[Tile, ...]:
    """One tile for each scenario, for a catalogue that names no tiles."""
    return tuple(
        Tile(f"proof-{each.id.lower()}", tuple(claim.id for claim in each.claims), kills=False)
        for each in scenarios
    )


def _tile(item: dict[str, Any]) -> Tile:
    return Tile(_word(item["id"]), _words(item["claims"]), kills=item.get("kills", False) is True)


def _trigger(item: dict[str, Any]) -> Trigger:
    return Trigger(_word(item["id"]), _word(item["label"]), _words(item["claims"]))


def _stance(item: dict[str, Any]) -> Stance:
    return Stance(
        _word(item["key"]), _words(item["scopes"]), _words(item["values"]), _word(item["code"])
    )


def _scenario(item: dict[str, Any]) -> Scenario:
    claims = tuple(_claim(item["id"], claim) for claim in item["claims"])
    return Scenario(_word(item["id"]), _word(item["title"]), item.get("summary", ""), claims)


def _claim(scenario: str, item: dict[str, Any]) -> Claim:
    mandatory = item.get("mandatory", True)
    if not isinstance(mandatory, bool):
        raise TypeError("mandatory is not a boolean")
    return Claim(
        _word(item["id"]),
        scenario,
        _word(item["text"]),
        _words(item["sources"]),
        _words(item["scopes"]),
        mandatory,
        _words(item["saboteurs"]) if "saboteurs" in item else (),
    )


def _legend(value: Mapping[str, object]) -> None:
    for name, meaning in value.items():
        _word(name)
        _word(meaning)


def _word(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} is not a word")
    return value


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise TypeError(f"{value!r} is not a list of words")
    return tuple(_word(item) for item in value)
