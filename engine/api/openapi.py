"""OpenAPI 3.1 of a table of operations, made only from the table and the wire models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, Literal, TypeAlias, get_args

from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response

from engine.api.doors import SIGNATURE
from engine.api.routing import Operation
from engine.contracts.base import Wire
from engine.contracts.errors import Refusal
from engine.core.doors import Role

Mode: TypeAlias = Literal["validation", "serialization"]
Use: TypeAlias = "tuple[Any, Mode]"  # a wire model, and its direction
Json: TypeAlias = "dict[str, Any]"
REF: Final = "#/components/schemas/{model}"
JSON: Final = "application/json"
SCHEMES: Final = {
    "token": {"type": "http", "scheme": "bearer"},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": SIGNATURE,
        "description": "t=<unix seconds>,v1=<hex HMAC-SHA256 of '<t>.<body>'>",
    },
}


async def serve_document(request: Request) -> Response:
    """``GET /openapi.json``: the document of the served table."""
    text: bytes = request.app.state.openapi()
    return Response(text, media_type=JSON)


def document(operations: Sequence[Operation]) -> Json:
    """The OpenAPI document of ``operations``."""
    used = dict.fromkeys(use for each in operations for use in _uses(each))
    refs, schemas = models_json_schema(list(used), ref_template=REF)
    paths: dict[str, Json] = {}
    for each in operations:
        at = paths.setdefault(each.path.replace(":path", ""), {})
        at[each.method.lower()] = _describe_parameter(each, refs)
    return {
        "openapi": "3.1.0",
        "info": {"title": "spec11 reference engine", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas["$defs"], "securitySchemes": SCHEMES},
    }


def _uses(each: Operation) -> Iterator[Use]:
    if each.body is not None:
        yield each.body, "validation"
    for _, kind in _replies(each):
        if not isinstance(kind, str):
            yield _model(kind), "serialization"


def _describe_parameter(each: Operation, refs: Mapping[Use, Json]) -> Json:
    found: Json = {"summary": each.summary, "parameters": list(_parameters(each))}
    if each.body is not None:
        content = {JSON: {"schema": refs[each.body, "validation"]}}
        found["requestBody"] = {"required": True, "content": content}
    found["security"] = _security(each)
    found["responses"] = {
        str(int(status)): {
            "description": HTTPStatus(status).phrase,
            "content": _content(kind, refs),
        }
        for status, kind in _replies(each)
    }
    return found


def _security(each: Operation) -> list[dict[str, list[str]]]:
    """The credentials that it takes. Without configured tokens and secret it needs none."""
    if Role.STRANGER in each.admits:
        return []
    signed: list[dict[str, list[str]]] = [{"signature": []}] if each.signed else []
    return [{}, {"token": []}, *signed]


def _parameters(each: Operation) -> Iterator[Json]:
    for name in each.parameters:
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    query = each.query.model_json_schema() if each.query else {"properties": {}}
    for name, schema in query["properties"].items():
        needed = name in query.get("required", ())
        yield {"name": name, "in": "query", "required": needed, "schema": schema}


def _replies(each: Operation) -> Iterator[tuple[int, Any]]:
    """Its replies and refusals: 400 for bodies and queries, 404 for names."""
    yield from each.replies.items()
    yield HTTPStatus.BAD_REQUEST, Refusal
    if Role.STRANGER not in each.admits:
        yield HTTPStatus.UNAUTHORIZED, Refusal
        yield HTTPStatus.FORBIDDEN, Refusal
    if each.parameters or each.body:
        yield HTTPStatus.NOT_FOUND, Refusal
    if each.body:
        yield HTTPStatus.CONFLICT, Refusal
    yield HTTPStatus.INTERNAL_SERVER_ERROR, Refusal


def _content(kind: Any, refs: Mapping[Use, Json]) -> Json:
    if isinstance(kind, str):
        return {kind: {}}
    one = refs[_model(kind), "serialization"]
    return {JSON: {"schema": {"type": "array", "items": one} if get_args(kind) else one}}


def _model(kind: Any) -> type[Wire]:
    """The wire model of a reply: the reply itself, or an item of its list."""
    model: type[Wire] = next(iter(get_args(kind)), kind)
    return model
