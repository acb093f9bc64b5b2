"""A `jq` for machines without one: the filters of the course, word for word, and no other."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

EMPTY: Final = object()  # a filter that puts nothing out
HEADER: Final = ("workflowID", "status", "nextAction", "lastStep", "retryCount", "error")
STARTED: Final = ("workflowID", "status", "intentHash", "recipeRef", "recipeHash")
STEP: Final = ("stepID", "attempt", "status", "phase")
BODY: Final = (
    '{recipeRef:{id:$id,v:$v},formData:{goal:"spec11 tutorial",tenant:"acme"}'
    ',opts:{queuePartitionKey:"tenant-acme",lane:"interactive"}}'
)
PACK: Final = (
    "{meta:.meta,run:.run.workflow_id,dbosStatus:(.dbos.parentStatuses|length)"
    ",dbosEvents:(.dbos.parentEvents|length)}"
)
Filter = Callable[[Any, Mapping[str, str]], Any]


def _of(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value.get(name) for name in names}


def _first(value: list[Any]) -> Any:
    return value[0] if value else None


def _else_empty(value: Any) -> Any:
    return EMPTY if value is None or value is False else value


def _body(given: Mapping[str, str]) -> dict[str, Any]:
    return {
        "recipeRef": {"id": given["id"], "v": given["v"]},
        "formData": {"goal": "spec11 tutorial", "tenant": "acme"},
        "opts": {"queuePartitionKey": "tenant-acme", "lane": "interactive"},
    }


def _pack(value: Any) -> dict[str, Any]:
    dbos = value["dbos"]
    return {
        "meta": value["meta"],
        "run": value["run"]["workflow_id"],
        "dbosStatus": len(dbos["parentStatuses"]),
        "dbosEvents": len(dbos["parentEvents"]),
    }


FILTERS: Final[Mapping[str, Filter]] = {
    ".": lambda value, _: value,
    ".[0]": lambda value, _: _first(value),
    ".workflowID": lambda value, _: value.get("workflowID"),
    ".status // empty": lambda value, _: _else_empty(value.get("status")),
    ".nextAction // empty": lambda value, _: _else_empty(value.get("nextAction")),
    ".[0].gateKey // empty": lambda value, _: _else_empty((_first(value) or {}).get("gateKey")),
    "[.[].functionId]|max": lambda value, _: max(
        (each["functionId"] for each in value), default=None
    ),
    '.opts.queuePartitionKey="tenant-other"': lambda value, _: {
        **value,
        "opts": {**value["opts"], "queuePartitionKey": "tenant-other"},
    },
    f"{{{','.join(HEADER)}}}": lambda value, _: _of(value, HEADER),
    f"{{{','.join(STARTED)}}}": lambda value, _: _of(value, STARTED),
    f"map({{{','.join(STEP)}}})": lambda value, _: [_of(each, STEP) for each in value],
    BODY: lambda _, given: _body(given),
    PACK: lambda value, _: _pack(value),
}


def main() -> int:
    """The exit code; what the filter makes of the JSON that it reads is on standard output."""
    asked = _arguments()
    if asked.filter not in FILTERS:
        sys.stderr.write(f"jq: not a filter of the course: {asked.filter}\n")
        return 3
    value = None if asked.null else json.loads(_text(asked.file))
    made = FILTERS[asked.filter](value, dict(asked.arg))
    if made is EMPTY:
        return 0
    layout: dict[str, Any] = {"separators": (",", ":")} if asked.compact else {"indent": 2}
    plain = asked.raw and isinstance(made, str)
    sys.stdout.write(made if plain else json.dumps(made, ensure_ascii=False, **layout))
    sys.stdout.write("\n")
    return 0


def _text(file: Path | None) -> str:
    return sys.stdin.read() if file is None else file.read_text(encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="jq", allow_abbrev=False)
    parser.add_argument("-r", dest="raw", action="store_true")
    parser.add_argument("-n", dest="null", action="store_true")
    parser.add_argument("-c", dest="compact", action="store_true")
    parser.add_argument("--arg", action="append", nargs=2, default=[])
    parser.add_argument("filter")
    parser.add_argument("file", nargs="?", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
