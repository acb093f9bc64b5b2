"""The registry of all saboteurs: the twins, and those of teams."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import pytest

from pytest_spec11.saboteurs.saboteur import Saboteur
from pytest_spec11.saboteurs.twins import twins

_ID: Final = re.compile(r"(file|http|proc|sql)\.[a-z0-9]+(-[a-z0-9]+)*")


class Registry:
    """Saboteurs by id, in the order of their registration. Raises pytest.UsageError for faults."""

    def __init__(self, saboteurs: Iterable[Saboteur]) -> None:
        self._by_id: dict[str, Saboteur] = {}
        for each in saboteurs:
            if not isinstance(each, Saboteur):
                raise pytest.UsageError(f"pytest_spec11_saboteurs gave {each!r}, no Saboteur")
            if not _ID.fullmatch(each.id):
                raise pytest.UsageError(f"saboteur {each.id!r}: http.…, sql.…, proc.… or file.…")
            if each.id in self._by_id:
                raise pytest.UsageError(f"two saboteurs are called {each.id}")
            self._by_id[each.id] = each

    @property
    def ids(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self._by_id)

    def select_saboteurs(self, ids: Iterable[str]) -> list[Saboteur]:
        """The saboteurs of ``ids``, in that order. Raises pytest.UsageError for an unknown id."""
        wanted = tuple(ids)
        if missing := [each for each in wanted if each not in self._by_id]:
            known = ", ".join(sorted(self._by_id))
            raise pytest.UsageError(f"no saboteur {', '.join(missing)}; there are: {known}")
        return [self._by_id[each] for each in wanted]


def load_registry(config: pytest.Config) -> Registry:
    """Build the registry of the twins and the hook ``pytest_spec11_saboteurs``."""
    given = config.hook.pytest_spec11_saboteurs(config=config)
    return Registry([*twins(), *(each for some in given for each in some)])
