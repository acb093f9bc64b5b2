"""The published shapes are those that are written: by rule, by schema and by the verifier."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_spec11.evidence import record_shapes
from pytest_spec11.evidence.binding import KEYS
from pytest_spec11.evidence.record_shapes import SHAPES
from pytest_spec11.evidence.schemas import NAMES, fault, schema
from pytest_spec11.verify import chain
from tests.plugin.releases import Release

ROOT = Path(__file__).parents[3]


def test_every_schema_is_named_and_closed() -> None:
    found = {
        path.name.partition(".")[0] for path in ROOT.glob("pytest_spec11/evidence/schemas/*.json")
    }
    assert found == {*NAMES}
    for name in NAMES:
        assert schema(name)["$id"] == f"urn:spec11:schema:{name}:1"
        assert schema(name)["additionalProperties"] is False


def test_the_engine_reads_the_sign_off_by_the_same_schema() -> None:
    theirs = json.loads((ROOT / "engine" / "contracts" / "signoff.schema.json").read_bytes())
    assert theirs == schema("signoff")


def test_three_lists_of_what_a_record_holds_are_one() -> None:
    assert {kind: dict(shape) for kind, shape in chain.SHAPES.items()} == SHAPES
    branches = {
        each["properties"]["kind"]["const"]: each["properties"]["data"]["required"]
        for each in schema("record")["oneOf"]
    }
    assert branches == {kind: sorted(shape) for kind, shape in SHAPES.items()}
    for name in ("kills", "lane", "signoff"):
        assert {*schema(name)["$defs"]["binding"]["required"]} == KEYS


def test_what_is_written_fits_and_what_is_refused_does_not(tmp_path: Path) -> None:
    release = Release(tmp_path / "r1")
    lines = (release.folder / "journal-main.ndjson").read_bytes().splitlines()
    bodies = [json.loads(line) for line in lines]
    assert [fault("record", body) for body in bodies] == [""] * len(bodies)
    for body in bodies:
        for key in SHAPES[body["kind"]]:
            less = {name: each for name, each in body["data"].items() if name != key}
            assert fault("record", {**body, "data": less})
            assert fault("record", {**body, "data": {**body["data"], key: object}})
        assert fault("record", {**body, "kind": "gossip"})
        assert fault("record", {**body, "extra": 1})


@pytest.mark.parametrize("outcome", ["passed", "fine", "", "PASSED"])
def test_an_outcome_is_one_of_the_known(outcome: str) -> None:
    data: dict[str, Any] = {"node": "n", "attempt": 1, "outcome": outcome, "phases": {}}
    body = {"seq": 1, "kind": "outcome", "at": 1, "prev": "0" * 64}
    body["data"] = {**data, "claims": [], "voids": [], "witness": {}}
    assert (fault("record", body) == "") == (outcome in record_shapes.OUTCOMES)
