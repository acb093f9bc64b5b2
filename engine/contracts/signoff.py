"""The gate's sign-off, checked by its JSON Schema, and the board that the engine makes of it."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any, Final

from jsonschema import Draft202012Validator

from engine.contracts.base import Millis, View
from engine.core.signoff import Verdict

_SCHEMA: Final = json.loads(
    resources.files("engine.contracts").joinpath("signoff.schema.json").read_text("utf-8")
)
_VALIDATOR: Final = Draft202012Validator(_SCHEMA)


def fault(document: Any) -> str | None:
    """The first violation of the schema; None if the document fits."""
    error = next(_VALIDATOR.iter_errors(document), None)
    return None if error is None else f"{error.json_path}: {error.message[:200]}"


class SignoffTile(View):
    """One tile or trigger of the board."""

    id: str
    label: str
    verdict: Verdict
    evidence_refs: list[str]
    ts: Millis
    reason: str | None = None
    commit: str | None = None
    tree: str | None = None
    app_version: str | None = None


class SignoffPosture(View):
    """The configuration of this process."""

    topology: str
    runtime_mode: str
    oc_mode: str
    oc_strict_mode: bool
    sbx_mode: str
    sbx_provider: str
    app_version: str
    claim_scope: str


class SignoffReason(View):
    """One reason against GO."""

    code: str
    subject: str
    text: str


class SignoffBoard(View):
    """GO only if every tile and trigger is GO; ``ts`` is the end of the newest evidence."""

    verdict: Verdict
    posture: SignoffPosture
    pf_tiles: list[SignoffTile]
    proof_tiles: list[SignoffTile]
    rollback_triggers: list[SignoffTile]
    reasons: list[SignoffReason]
    ts: Millis
