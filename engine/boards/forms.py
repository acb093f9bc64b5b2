"""Turns what a browser's form sends into the JSON body of an operation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from engine.api import parsing
from engine.errors import Malformed

BUDGET: Final = (
    "maxFanout",
    "maxSBXMinutes",
    "maxArtifactsMB",
    "maxRetriesPerStep",
    "maxWallClockMS",
)
_MOST: Final = 200  # fields of a form


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form. Raises Malformed for a body that is none."""
    sent = await parsing.raw(request)
    try:
        pairs = parse_qsl(sent.decode(), keep_blank_values=True, max_num_fields=_MOST)
    except ValueError as error:
        raise Malformed("invalid form", code="invalid_form") from error
    return dict(pairs)


def make_start(form: Mapping[str, str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a start: the recipe, the form's own fields, and the options that were filled."""
    options: dict[str, Any] = {
        name: form[name] for name in ("queuePartitionKey", "lane", "tenantId") if form.get(name)
    }
    if form.get("budget") == "on":
        options["budget"] = {name: _number(form.get(name, "")) for name in BUDGET}
    return {
        "recipeRef": {"id": form.get("recipe", ""), "v": form.get("v", "")},
        "formData": dict(_read_fields(form, "form.", schema.get("properties", {}))),
        "opts": options,
    }


def make_reply(form: Mapping[str, str]) -> dict[str, Any]:
    """The body of an answer: each filled field of the gate's form, its dedupe key, its origin."""
    payload = {
        name.removeprefix("payload."): value
        for name, value in form.items()
        if name.startswith("payload.") and value
    }
    return {
        "payload": payload,
        "dedupeKey": form.get("dedupeKey", ""),
        "origin": form.get("origin", "manual"),
    }


def make_action(form: Mapping[str, str]) -> dict[str, Any]:
    """The body of an operation on a workflow."""
    body: dict[str, Any] = {"actor": form.get("actor", ""), "reason": form.get("reason", "")}
    if form.get("operation") == "fork":
        body["stepN"] = _number(form.get("stepN", ""))
    return body


def _read_fields(
    form: Mapping[str, str], prefix: str, properties: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """The filled fields under the prefix, each of the type that the schema names."""
    for name, text in form.items():
        if name.startswith(prefix) and text:
            key = name.removeprefix(prefix)
            kind = properties.get(key, {}).get("type", "string")
            yield key, text if kind == "string" else _read_value(text)


def _read_value(text: str) -> Any:
    """``text`` as JSON, or as a text if it is none: the schema of the recipe then refuses it."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _number(text: str) -> Any:
    return int(text) if text.isascii() and text.lstrip("-").isdecimal() else text
