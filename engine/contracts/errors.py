"""The body of every refusal."""

from __future__ import annotations

from pydantic import JsonValue

from engine.contracts.base import View


class Fault(View):
    """One fault of a request: its place and a text."""

    pointer: str
    message: str


class DriftField(View):
    """One column in which a repeated start differs from the stored run."""

    field: str
    existing: JsonValue
    incoming: JsonValue


class Refusal(View):
    """Why a request changed nothing."""

    error: str
    code: str | None = None
    details: list[Fault] | None = None
    drift: list[DriftField] | None = None
