"""S11: whoever tells of a violation tells the same of it: row, step, card, throughput, trigger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pytest_spec11.fixtures import Provokes
from scenarios.support.contract import identity
from scenarios.support.runs.budgets import approve_plan, await_end, budget, document, violation
from scenarios.support.runs.workshop import Workshop

pytestmark = pytest.mark.S11

SCHEMA = Path(__file__).with_name("budget.schema.json")
FACTS = ("metric", "limit", "observed", "outcome")


@pytest.mark.claim("S11.readers-agree")
@pytest.mark.parametrize(
    ("tests", "beyond"),
    [
        (["a", "b", "c"], ("maxFanout", 3, 2)),
        (["a minutes=4"], ("maxSBXMinutes", 4, 3)),
        (["a mb=2"], ("maxArtifactsMB", 2, 1)),
    ],
    ids=["fanout", "minutes", "megabytes"],
)
def test_every_reader_tells_of_a_violation_alike(
    shop: Workshop, provokes: Provokes, tests: list[str], beyond: tuple[str, int, int]
) -> None:
    metric, observed, limit = beyond
    wid = approve_plan(shop, f"read of {metric}", *tests, budget=budget(**{metric: limit}))
    provokes(wid, "it goes beyond its budget")
    await_end(shop, wid)
    told = document(metric, observed, limit)

    row = violation(shop.stack, wid)
    documents = {"row": row["inline"], "step": step(shop, wid), "card": card(shop, wid, metric)}

    assert documents == dict.fromkeys(documents, told)
    schema = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert {name: [*schema.iter_errors(each)] for name, each in documents.items()} == {
        name: [] for name in documents
    }
    listed, trigger = throughput(shop, wid), tile(shop)
    assert [{name: each[name] for name in (*FACTS, "unit")} for each in listed] == [
        {name: told[name] for name in (*FACTS, "unit")}
    ]
    assert trigger["verdict"] == "NO_GO"
    assert f"{wid} ({told['reason']}, {told['outcome']})" in trigger["reason"]


def step(shop: Workshop, wid: str) -> Any:
    """The document to which the step BUDGET of the run leads."""
    steps = shop.stack.api.get(f"/api/runs/{wid}/steps").json()
    (ref,) = [ref for each in steps if each["stepID"] == "BUDGET" for ref in each["artifactRefs"]]
    return shop.stack.api.get(f"/api/artifacts/{ref['id']}").json()


def card(shop: Workshop, wid: str, metric: str) -> Any:
    """The document on the one proof card about that limit, which fails."""
    cards = shop.stack.api.get(f"/api/runs/{wid}/proofs").json()
    (found,) = [each for each in cards if f"-budget-{metric}-" in each["id"]]
    assert found["verdict"] == "FAIL"
    return json.loads(found["evidence"])


def throughput(shop: Workshop, wid: str) -> list[dict[str, Any]]:
    """What is listed of the run's violations."""
    listed = shop.stack.api.get("/api/ops/throughput").json()["budgets"]
    return [each for each in listed if each["runId"] == identity.run_id(wid)]


def tile(shop: Workshop) -> dict[str, Any]:
    """The tile of the trigger that watches budgets."""
    triggers = shop.stack.api.get("/api/ops/signoff").json()["rollbackTriggers"]
    (found,) = [each for each in triggers if each["id"] == "trigger-budget"]
    return dict(found)
