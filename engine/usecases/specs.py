"""Faults of recipe specs that have the right shape but must not be evaluated."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Final

from engine.contracts import schemas
from engine.core.schemas import Fault, Path, Survey

MAX_PATTERNS: Final = 256  # per bundle; each may take some hundredths of a second to compile


def faults(specs: Sequence[dict[str, Any]]) -> list[Fault]:
    """Every fault of the specs of one bundle, with its place in the bundle."""
    found: list[Fault] = []
    patterns: list[tuple[Path, str]] = []
    for at, schema in _schemas(specs):
        survey = Survey(schema)
        found += [((*at, *path), message) for path, message in survey.faults]
        patterns += [((*at, *path), text) for path, text in survey.patterns]
    patterns += _expressions(specs)
    if len(patterns) > MAX_PATTERNS:
        found.append((("versions",), f"have more than {MAX_PATTERNS} patterns"))
        patterns = []
    for at, text in patterns:
        found += schemas.find_unsupported(text, at)
    return [*_find_repeated_names(specs), *found]


def _schemas(specs: Sequence[dict[str, Any]]) -> Iterator[tuple[Path, Any]]:
    for at, spec in _locate_specs(specs):
        yield (*at, "formSchema"), spec["formSchema"]
        for number, check in enumerate(spec["eval"]):
            if "schema" in check:
                yield (*at, "eval", number, "schema"), check["schema"]


def _expressions(specs: Sequence[dict[str, Any]]) -> Iterator[tuple[Path, str]]:
    for at, spec in _locate_specs(specs):
        for number, check in enumerate(spec["eval"]):
            if "re" in check:
                yield (*at, "eval", number, "re"), check["re"]


def _find_repeated_names(specs: Sequence[dict[str, Any]]) -> Iterator[Fault]:
    """Names that must be unique but are not."""
    refs = _find_repeated([(spec["id"], spec["v"]) for spec in specs])
    for at, spec in _locate_specs(specs):
        if at[1] in refs:
            yield (*at, "v"), "is in the bundle twice"
        for part in ("eval", "fixtures"):
            for number in _find_repeated([each["id"] for each in spec[part]]):
                yield (*at, part, number, "id"), "is there twice"


def _find_repeated(names: Sequence[Hashable]) -> list[int]:
    """The indexes of names that occurred before."""
    first: dict[Hashable, int] = {}
    return [at for at, name in enumerate(names) if first.setdefault(name, at) != at]


def _locate_specs(
    specs: Sequence[dict[str, Any]],
) -> Iterator[tuple[tuple[str, int], dict[str, Any]]]:
    return ((("versions", number), spec) for number, spec in enumerate(specs))
