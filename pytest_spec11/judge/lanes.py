"""Rules about the lanes: each needs a green record of this tree, and their order must be right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

from pytest_spec11.judge.case import Case
from pytest_spec11.judge.reasons import Reason, reason

NESTED: Final = ("quick", "check", "full")  # a red lane makes the higher lanes red


def check_lanes(case: Case) -> Iterator[Reason]:
    """Every lane of the catalogue must have one record, and it must be green."""
    for lane in case.catalogue.lanes:
        found = case.bundle.lanes.get(lane, ())
        if not found:
            yield _reason("E-LANE", lane, "no record of this lane")
        if len(found) > 1:
            yield _reason("E-DUPLICATE", lane, f"{len(found)} records of this lane")
        for each in found:
            yield from _faults(lane, each.data, each.damage)
    for lane in sorted(case.bundle.lanes.keys() - {*case.catalogue.lanes}):
        yield _reason("E-LANE", lane, "a record of a lane that the catalogue does not have")


def _faults(lane: str, data: Mapping[str, Any], damage: str) -> Iterator[Reason]:
    if damage:
        yield _reason("E-DIGEST", lane, damage)
        return
    if data["lane"] != lane:
        yield _reason("E-TILE", lane, f"its record is of lane {data['lane']}")
    if data["exitCode"] != 0:
        yield _reason("E-LANE", lane, f"ended with status {data['exitCode']}")
    for step in data["steps"]:
        if step["exitCode"] != 0:
            text = f"{step['name']} ended with status {step['exitCode']}"
            yield _reason("E-LANE", lane, text)
        if not data["startedAt"] <= step["startedAt"] <= step["finishedAt"] <= data["finishedAt"]:
            yield _reason("E-TIME", lane, f"{step['name']} is outside of its lane's time")


def check_lane_order(case: Case) -> Iterator[Reason]:
    """A higher lane must come after the green lower lane, in the same release run."""
    known = {
        each.data["lane"]: each.data
        for each in case.documents
        if each.kind == "lane" and each.path.stem == f"lane-{each.data['lane']}"
    }
    asked = [lane for lane in NESTED if lane in case.catalogue.lanes]
    for low, high in pairwise(asked):
        green = high in known and known[high]["exitCode"] == 0
        if green and (text := _disorder(low, known.get(low), known[high])):
            yield _reason("E-LANE-ORDER", high, text)


def _disorder(name: str, low: Mapping[str, Any] | None, high: Mapping[str, Any]) -> str:
    if low is None:
        return f"green, and {name} is not on record"
    if low["exitCode"] != 0:
        return f"green over a red {name}"
    if low["finishedAt"] > high["startedAt"]:
        return f"began before {name} had ended"
    return "" if low["release"] == high["release"] else f"{name} belongs to another release run"


def _reason(code: str, lane: str, text: str) -> Reason:
    return reason(code, f"pf-{lane}", text, f"spec11 lane {lane}")
