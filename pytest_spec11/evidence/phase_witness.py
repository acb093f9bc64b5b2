"""Compares how each phase of a test was reported with how it ended where it ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

CONTRADICTION: Final = "E-CONTRADICTION"
# The words that a report may use, by how the phase ended. Setup and teardown may run no code.
_ANY: Final = frozenset({"passed", "failed", "error", "skipped", "xfailed", "xpassed"})
_HONEST: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "passed": _ANY,
        "skipped": _ANY - {"passed", "xpassed"},
        "xfailed": _ANY - {"passed", "xpassed"},
        "failed": frozenset({"failed", "error"}),
    }
)
_UNSEEN: Final = _ANY - {"passed", "xpassed"}


def find_contradictions(
    phases: Mapping[str, Any], witness: Mapping[str, Any]
) -> Iterator[tuple[str, str, str]]:
    """Phase, reported word and witnessed word of each report that is better than the truth."""
    for when, reported in phases.items():
        ended = str(witness.get(when, ""))
        honest = _HONEST.get(ended, _UNSEEN)
        if (ended or when == "call") and reported not in honest:
            yield when, str(reported), ended or "not run"


def find_voids(said: Mapping[str, Any]) -> tuple[str | None, ...]:
    """The code of each reason not to believe an outcome, also of one that it does not give."""
    codes = [void.get("code") for void in said["voids"]]
    if CONTRADICTION not in codes and any(find_contradictions(said["phases"], said["witness"])):
        codes.append(CONTRADICTION)
    return tuple(codes)
