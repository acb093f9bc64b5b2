"""What a recipe is, and how a form becomes an intent through it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from engine.core.canon import Json, canonical, digest
from engine.errors import Malformed

DRAFT: Final = "draft"
CANDIDATE: Final = "candidate"
STABLE: Final = "stable"
MAX_INTENT: Final = 1024 * 1024
PRIMITIVES: Final = (
    "Collect",
    "Fetch",
    "Extract",
    "Normalize",
    "Decide",
    "Act",
    "Report",
    "Legacy",
)
_WHOLE: Final = re.compile(r"\{\{\s*([A-Za-z0-9_.]+)\s*\}\}")
_INTENT_KEYS: Final = frozenset({"goal", "inputs", "constraints", "connectors"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What one version of a recipe allows a run to ask for."""

    max_steps: int
    max_fanout: int
    max_sbx_min: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """One version of a recipe."""

    id: str
    v: str
    hash: str
    status: str
    spec: Mapping[str, Any]

    @property
    def form_schema(self) -> dict[str, Any]:
        """The JSON Schema of its form; undeclared keys are refused unless it says so (D26)."""
        return {"additionalProperties": False, **self.spec["formSchema"]}

    @property
    def limits(self) -> Limits:
        """The caps of this very version, whatever the newest says."""
        caps = self.spec["limits"]
        return Limits(caps["maxSteps"], caps["maxFanout"], caps["maxSbxMin"])


def spec_hash(spec: Json) -> str:
    """sha256 of the canonical recipe spec."""
    return digest(spec)


def natural(version: str) -> list[tuple[int, int, str]]:
    """A sort key by which v2 comes before v10, and a number before a word."""
    parts = re.findall(r"[0-9]+|[^0-9]+", version)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def with_defaults(schema: Mapping[str, Any], form: Mapping[str, Json]) -> dict[str, Json]:
    """``form`` with the top-level defaults of its schema for keys it leaves out."""
    properties = schema.get("properties", {})
    absent = {
        name: rule["default"]
        for name, rule in properties.items()
        if name not in form and isinstance(rule, dict) and "default" in rule
    }
    return {**absent, **form}


@dataclass(frozen=True, slots=True)
class Template:
    """The intent template of a recipe; ``used`` counts each path in it, so that it is read once."""

    tree: Any
    used: Mapping[str, int]

    @classmethod
    def of(cls, recipe: Recipe) -> Self:
        """The template of ``recipe``."""
        tree = recipe.spec["intentTmpl"]
        return cls(tree, Counter(path for text in _texts(tree) for path in _WHOLE.findall(text)))

    def render(self, form: Mapping[str, Json]) -> dict[str, Json]:
        """The intent that ``form`` stands for, canonical in its values.

        Raises Malformed for a template key without a value, a result that is no intent or too large
        for one, and a step library that is not drawn from the eight primitives.
        """
        scope = {"formData": dict(form)}
        _require_small(self.used, scope)
        intent = _render_template(self.tree, scope)
        if not _is_intent(intent):
            raise Malformed("invalid Intent: the recipe rendered no intent", code="invalid_request")
        constraints: Any = intent["constraints"]
        library = {"primitives": _primitives(constraints.get("stepLibrary"))}
        return {**intent, "constraints": {**constraints, "stepLibrary": library}}


def instantiate(recipe: Recipe, form: Mapping[str, Json]) -> dict[str, Json]:
    """The intent that ``form`` stands for. Raises Malformed as ``Template.render`` does."""
    return Template.of(recipe).render(form)


def _primitives(library: Any) -> list[Json]:
    if not isinstance(library, dict):
        return [*PRIMITIVES]
    names = library.get("primitives")
    if not isinstance(names, list) or not names or not all(name in PRIMITIVES for name in names):
        raise Malformed(
            "constraints.stepLibrary.primitives must be a non-empty canonical list",
            code="invalid_request",
        )
    return names


def _is_intent(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() <= _INTENT_KEYS
        and isinstance(value.get("goal"), str)
        and value["goal"] != ""
        and isinstance(value.get("inputs"), dict)
        and isinstance(value.get("constraints"), dict)
        and _is_strings(value.get("connectors", []))
    )


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _render_template(template: Any, scope: Mapping[str, Any]) -> Any:
    """``template`` with its ``{{path}}`` filled in: alone in a string a value keeps its type."""
    match template:
        case str():
            return _text(template, scope)
        case list():
            return [_render_template(item, scope) for item in template]
        case dict():
            return {key: _render_template(item, scope) for key, item in template.items()}
        case _:
            return template


def _require_small(used: Mapping[str, int], scope: Mapping[str, Any]) -> None:
    """What the template would become is counted before it is made. Raises Malformed."""
    size = sum(times * len(canonical(_find_value(path, scope))) for path, times in used.items())
    if size > MAX_INTENT:
        message = f"invalid Intent: larger than {MAX_INTENT} bytes"
        raise Malformed(message, code="invalid_request")


def _texts(template: Any) -> Iterator[str]:
    match template:
        case str():
            yield template
        case list():
            for item in template:
                yield from _texts(item)
        case dict():
            for item in template.values():
                yield from _texts(item)
        case _:
            return


def _text(template: str, scope: Mapping[str, Any]) -> Any:
    if whole := _WHOLE.fullmatch(template):
        return _find_value(whole[1], scope)
    return _WHOLE.sub(lambda path: _format_value(_find_value(path[1], scope)), template)


def _format_value(value: Json) -> str:
    """``value`` inside a sentence: a string as it is, else canonical JSON (1.0 is 1)."""
    return value if isinstance(value, str) else canonical(value).decode()


def _find_value(path: str, scope: Mapping[str, Any]) -> Any:
    value: Any = scope
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            raise Malformed(
                f"missing template key: {path}",
                code="invalid_request",
                details=[
                    {"pointer": f"/{path.replace('.', '/')}", "message": "the recipe needs it"}
                ],
            )
        value = value[name]
    return value
