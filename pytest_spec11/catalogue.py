"""The catalogue: every claim of the product, the scenario it belongs to and what must prove it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pytest_spec11.canon import digest
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

    def needed(self, scope: str) -> bool:
        """Whether a sign-off of ``scope`` has to prove this claim; a demo is a try at one."""
        return self.mandatory and ("signoff" if scope == "demo" else scope) in self.scopes


@dataclass(frozen=True, slots=True)
class Scenario:
    """A group of claims that are proven together."""

    id: str
    title: str
    summary: str
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Catalogue:
    """All scenarios, what their texts take as known, and the digest of the whole document."""

    scenarios: tuple[Scenario, ...]
    digest: str
    sources: Mapping[str, str]
    words: Mapping[str, str]

    def __post_init__(self) -> None:
        found = [claim for scenario in self.scenarios for claim in scenario.claims]
        by_id = {claim.id: claim for claim in found}
        if len(by_id) != len(found) or not found:
            raise BadInput("catalogue: no claims, or two claims of one id")
        object.__setattr__(self, "_claims", MappingProxyType(by_id))

    @property
    def claims(self) -> Mapping[str, Claim]:
        """Every claim by its id, in the order of the document."""
        known: Mapping[str, Claim] = self.__dict__["_claims"]
        return known

    def find(self, id_: str) -> Claim | None:
        """The claim of this id, if there is one."""
        return self.claims.get(id_)

    def closest(self, id_: str) -> str | None:
        """The known id that looks most like a mistyped one."""
        return next(iter(get_close_matches(id_, self.claims, n=1, cutoff=0.5)), None)


def load(path: Path | None = None) -> Catalogue:
    """The catalogue in ``path``, else the packaged one; read once per process.

    Raises BadInput when the file is no catalogue.
    """
    return _load((path or PACKAGED).resolve())


@lru_cache(maxsize=16)
def _load(path: Path) -> Catalogue:
    try:
        document = json.loads(path.read_bytes())
        return Catalogue(
            tuple(_scenario(item) for item in document["scenarios"]),
            digest(document),
            _legend(document.get("sources", {})),
            _legend(document.get("words", {})),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"catalogue {path}: {type(error).__name__}: {error}") from error


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


def _legend(value: Mapping[str, object]) -> Mapping[str, str]:
    return MappingProxyType({_word(name): _word(meaning) for name, meaning in value.items()})


def _word(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} is not a word")
    return value


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise TypeError(f"{value!r} is not a list of words")
    return tuple(_word(item) for item in value)
