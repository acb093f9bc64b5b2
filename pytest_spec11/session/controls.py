"""What a controlled run changes of what its tests read; in a plain run nothing is changed (D38)."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from pytest_spec11.mutants.mutant import Mutant, find_shape
from pytest_spec11.mutants.operators import NotThere, apply

STALE: Final = "stale"


class Controls:
    """Hears every reading of the test under way, and hands it on, changed where that was ordered.

    Each test has at most one mutant, so that whatever turns it red is that one.
    """

    def __init__(self, mutants: Mapping[str, Mutant]) -> None:
        self._mutants = mutants
        self._lock = threading.Lock()
        self._mutant: Mutant | None = None
        self._node = ""
        self._heard: Counter[str] = Counter()
        self._earlier: Any = None
        self._hits = 0

    def begin(self, node: str) -> None:
        """The test of this node begins."""
        with self._lock:
            self._node, self._mutant = node, self._mutants.get(node)
            self._heard.clear()
            self._earlier, self._hits = None, 0

    def take_hits(self) -> int:
        """How many readings of the test under way were changed."""
        with self._lock:
            return self._hits

    def change(self, node: str, source: str, ref: str, reading: Any) -> Any:
        """The reading as the test gets it."""
        if not self._mutants:
            return reading
        with self._lock:
            wanted = self._mutant
            if wanted is None or node != self._node or source != wanted.source:
                return reading
            shape = find_shape(ref)
            nth, self._heard[shape] = self._heard[shape], self._heard[shape] + 1
            if shape != wanted.shape:
                return reading
            return self._apply(wanted, nth, reading)

    def _apply(self, wanted: Mutant, nth: int, reading: Any) -> Any:
        earlier, self._earlier = self._earlier, reading
        if wanted.nth is not None and nth != wanted.nth:
            return reading
        try:
            changed = _change(wanted, reading, earlier)
        except NotThere:
            return reading
        self._hits += changed != reading
        return changed


def _change(wanted: Mutant, reading: Any, earlier: Any) -> Any:
    """Raises NotThere when this reading holds nothing that the mutant could change."""
    if wanted.operator != STALE:
        return apply(reading, wanted.path, wanted.operator, wanted.value)
    if not isinstance(earlier, dict) or not isinstance(reading, dict):
        raise NotThere("no earlier reading")
    return {**reading, "body": earlier["body"]}
