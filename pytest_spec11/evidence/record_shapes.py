"""The shapes of records: what a record of each kind must hold, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

FOREIGN: Final = frozenset({"code", "input"})
OUTCOMES: Final = frozenset({"passed", "failed", "skipped", "xfailed", "xpassed", "error"})

# The keys that a record of each kind must have, with their types; other keys are free.
SHAPES: Final[Mapping[str, Mapping[str, tuple[type, ...]]]] = {
    "start": {"runId": (str,), "nonce": (str,), "role": (str,), "pid": (int,), "binding": (dict,)},
    "collected": {
        "items": (list,),
        "deselected": (list,),
        "defined": (list,),
        "selected": (list,),
    },
    "observation": {
        "node": (str,),
        "source": (str,),
        "ref": (str,),
        "digest": (str,),
        "size": (int,),
        "blob": (str, type(None)),
        "facts": (dict,),
        "empty": (bool,),
    },
    "assertion": {"node": (str,), "line": (int,), "text": (str,)},
    "outcome": {
        "node": (str,),
        "attempt": (int,),
        "outcome": (str,),
        "phases": (dict,),
        "witness": (dict,),
        "claims": (list,),
        "voids": (list,),
    },
    "provocation": {"node": (str,), "workflowId": (str,), "why": (str,)},
    "workers": {"expected": (list,), "lost": (list,)},
    "surroundings": {
        "heard": (bool,),
        "foreign": (list,),
        "faults": (list,),
        "plugins": (list,),
        "python": (dict,),
        "target": (dict,),
    },
    "note": {},
    "seal": {"count": (int,), "head": (str,), "exitStatus": (int,), "sum": (str,)},
}


def find_fault(kind: str, data: object) -> str:
    """What a record of this kind lacks; empty if it is complete."""
    shape = SHAPES.get(kind)
    if shape is None or not isinstance(data, dict):
        return f"no kind {kind!r} with such data"
    for key, types in shape.items():
        if key not in data or type(data[key]) not in types:
            return f"{kind} without a proper {key}"
    return _find_misfilled(kind, data)


def _find_misfilled(kind: str, data: Mapping[str, Any]) -> str:
    if kind == "outcome":
        voids = all(isinstance(each, dict) and _strings([*each.values()]) for each in data["voids"])
        good = data["outcome"] in OUTCOMES and _strings(data["claims"]) and voids
        return "" if good else "outcome of no known sort"
    if kind == "surroundings":
        good = all(map(_is_foreign, data["foreign"])) and _strings(data["faults"])
        good = good and all(map(_is_plugin, data["plugins"])) and _is_target(data["target"])
        return "" if good else "surroundings with files of no known sort"
    if kind == "workers":
        good = _strings(data["expected"]) and _strings(data["lost"])
        return "" if good else "workers without roles"
    if kind == "collected":
        good = all(_item(item) for item in [*data["items"], *data["deselected"]])
        good = good and all(map(_is_place, data["defined"])) and _strings(data["selected"])
        return "" if good else "collected items without node and claims"
    return ""


def _strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_foreign(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("path"), str):
        return False
    return value.get("kind") in FOREIGN


def _is_plugin(value: object) -> bool:
    return isinstance(value, dict) and _strings([value.get("name"), value.get("distribution")])


def _is_target(value: Mapping[str, Any]) -> bool:
    """Whether it says what the target ran; a worker of xdist says nothing."""
    if not value:
        return True
    foreign, words = value.get("foreign"), [value.get("asked"), value.get("told")]
    return (
        type(value.get("isOfTree")) is bool
        and isinstance(value.get("processes"), list)
        and _strings(words)
        and isinstance(foreign, list)
        and all(
            isinstance(each, dict) and _strings([each.get("process"), each.get("what")])
            for each in foreign
        )
    )


def _is_place(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    return isinstance(value.get("place"), str) and type(value.get("line")) is int


def _item(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("node"), str)
        and _strings(value.get("claims"))
    )
