"""The engine's OpenAPI document, read as a list of operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pytest_spec11.oracles.http import Api

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(frozen=True)
class Operation:
    """One method of one path, with the JSON Schema of its body and of each query parameter.

    ``needed`` names the required query parameters.
    """

    method: str
    path: str
    query: dict[str, Any]
    needed: tuple[str, ...]
    body: dict[str, Any] | None
    replies: dict[int, str]

    @property
    def route(self) -> str:
        """Method and path, as one name."""
        return f"{self.method} {self.path}"

    def at(self, **names: str) -> str:
        """The path with ``names`` filled in, each percent-encoded as one segment."""
        path = self.path
        for name, value in names.items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        return path


def operations(api: Api) -> list[Operation]:
    """Every operation of ``/openapi.json``, references resolved."""
    document = api.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    return [
        _operation(path, method.upper(), _resolve_schema(described, schemas))
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    ]


def nullable(schema: Mapping[str, Any]) -> list[str]:
    """The properties of an object's ``schema`` that may be null, in their order."""
    null = {"type": "null"}
    return [name for name, each in schema["properties"].items() if null in each.get("anyOf", ())]


def _operation(path: str, method: str, described: dict[str, Any]) -> Operation:
    parameters = [each for each in described["parameters"] if each["in"] == "query"]
    body = described.get("requestBody")
    return Operation(
        method=method,
        path=path,
        query={each["name"]: each["schema"] for each in parameters},
        needed=tuple(each["name"] for each in parameters if each["required"]),
        body=body and body["content"]["application/json"]["schema"],
        replies={
            int(status): next(iter(reply["content"]))
            for status, reply in described["responses"].items()
        },
    )


def _resolve_schema(value: Any, schemas: dict[str, Any]) -> Any:
    match value:
        case {"$ref": str(ref)}:
            return _resolve_schema(schemas[ref.rpartition("/")[2]], schemas)
        case dict():
            return {name: _resolve_schema(item, schemas) for name, item in value.items()}
        case list():
            return [_resolve_schema(item, schemas) for item in value]
        case _:
            return value
