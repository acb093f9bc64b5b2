"""The prover's own recomputation of every id, from the contract's formulas alone (D1)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from pytest_spec11.canon import digest

PRIMITIVES = ["Collect", "Fetch", "Extract", "Normalize", "Decide", "Act", "Report"]
_PATH = re.compile(r"\{\{\s*([A-Za-z0-9_.]+)\s*\}\}")


def compile_intent(goal: str, topic: str = "alpha") -> dict[str, Any]:
    """The intent that ``compile-default@v1`` stands for with this form."""
    return {
        "goal": f"Goal: {goal} (Collect report for {topic})",
        "inputs": {"topic": topic, "goal": goal},
        "constraints": {"stepLibrary": {"primitives": PRIMITIVES}},
    }


def intent_hash(goal: str, topic: str = "alpha") -> str:
    """64 hex digits: the hash of ``compile-default@v1`` with this form."""
    return digest(compile_intent(goal, topic))


def workflow_id(goal: str, topic: str = "alpha") -> str:
    """``ih_`` and the intent's hash."""
    return f"ih_{intent_hash(goal, topic)}"


def run_id(workflow: str) -> str:
    """``run_`` and 32 hex digits, a function of the workflow id."""
    return f"run_{digest({'workflowId': workflow})[:32]}"


def gate_key(run: str, step: str = "ApplyPatchST", purpose: str = "approve-plan") -> str:
    """The gate's key: its purpose, then 16 hex digits over the raw text of the tuple."""
    seed = sha256(f"{run}:{step}:{purpose}:1".encode()).hexdigest()
    return f"{purpose}-{seed[:16]}"


def reread(text: str) -> Any:
    """Stored JSON as RFC 8785 reads it: every number is a double, however it is printed."""
    return json.loads(text, parse_int=float)


def instantiate_intent(spec: Mapping[str, Any], form: Mapping[str, Any]) -> Any:
    """The intent of a recipe spec and a form, by the prover's own rendering.

    Raises KeyError for a template key that neither the form nor a default provides.
    """
    properties = spec["formSchema"].get("properties", {})
    defaults = {name: rule["default"] for name, rule in properties.items() if "default" in rule}
    return _render_template(spec["intentTmpl"], {"formData": {**defaults, **form}})


def _render_template(template: Any, scope: Mapping[str, Any]) -> Any:
    if isinstance(template, str):
        if whole := _PATH.fullmatch(template):  # a value that is the whole string keeps its type
            return _find_value(whole[1], scope)
        return _PATH.sub(lambda path: str(_find_value(path[1], scope)), template)
    if isinstance(template, list):
        return [_render_template(item, scope) for item in template]
    if isinstance(template, dict):
        return {key: _render_template(item, scope) for key, item in template.items()}
    return template


def _find_value(path: str, scope: Any) -> Any:
    for name in path.split("."):
        scope = scope[name]
    return scope
