"""Recipe specs that the engine must neither evaluate nor store: each has one fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LOOP = {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"items": {"$ref": "#/$defs/a"}}}}
DOUBLING = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(30)}
TEXT = {"type": "string"}
# One fault each in a sound spec: its place, its value, and the pointer that the refusal names.
HOSTILE: dict[str, tuple[tuple[str, ...], Any, str]] = {
    "no schema": (("formSchema", "properties", "goal"), 7, "/formSchema/properties/goal"),
    "no type": (("formSchema", "type"), "text", "/formSchema/type"),
    "a loop": (
        ("formSchema",),
        {**LOOP, "properties": {"goal": {"$ref": "#/$defs/a"}}},
        "/formSchema/$defs/b/items/$ref",
    ),
    "itself": (
        ("formSchema", "properties", "goal"),
        {"$ref": "#"},
        "/formSchema/properties/goal/$ref",
    ),
    "another machine": (
        ("formSchema", "properties", "goal"),
        {"$ref": "http://127.0.0.1:1/schema"},
        "/formSchema/properties/goal/$ref",
    ),
    "a file": (
        ("formSchema", "properties", "goal"),
        {"$ref": "file:///etc/passwd"},
        "/formSchema/properties/goal/$ref",
    ),
    "doubling": (
        ("formSchema",),
        {"$defs": {**DOUBLING, "d30": TEXT}, "properties": {"goal": {"$ref": "#/$defs/d0"}}},
        "/formSchema",
    ),
    "huge": (("formSchema", "properties"), {f"p{n}": TEXT for n in range(1000)}, "/formSchema"),
    "dynamic": (("formSchema", "$dynamicRef"), "#x", "/formSchema/$dynamicRef"),
    "backtracking": (
        ("formSchema", "properties", "goal"),
        {"type": "string", "pattern": r"^(a+)+(?=b)\1$"},
        "/formSchema/properties/goal/pattern",
    ),
    "an explosion": (
        ("formSchema", "properties", "goal"),
        {"type": "string", "pattern": r"((a{1000}){1000}){1000}"},
        "/formSchema/properties/goal/pattern",
    ),
    "no expression": (
        ("eval",),
        [{"id": "c", "kind": "regex", "artifact": "*", "re": "(["}],
        "/eval/0/re",
    ),
    "a loop to look for": (
        ("eval",),
        [{"id": "c", "kind": "jsonschema", "artifact": "*", "schema": {**LOOP}}],
        "/eval/0/schema/$defs/b/items/$ref",
    ),
    "an unknown check": (("eval",), [{"id": "c", "kind": "shell", "cmd": "id"}], "/eval/0"),
    "a check twice": (
        ("eval",),
        [{"id": "c", "kind": "file_exists", "glob": "*"}] * 2,
        "/eval/1/id",
    ),
    "a fixture twice": (("fixtures",), [{"id": "f", "formData": {}}] * 2, "/fixtures/1/id"),
    "an unknown key": (("prompts", "bogus"), 1, "/prompts/bogus"),
    "an unknown key of a check": (
        ("eval",),
        [{"id": "c", "kind": "file_exists", "glob": "*", "bogus": 1}],
        "/eval/0/bogus",
    ),
    "no limit": (("limits", "maxFanout"), 0, "/limits/maxFanout"),
}


def specs(sound: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """``sound`` with one fault each, by its name."""
    return {name: _with(sound, path, value) for name, (path, value, _) in HOSTILE.items()}


def _with(whole: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    head, *rest = path
    return {**whole, head: _with(whole[head], tuple(rest), value) if rest else value}
