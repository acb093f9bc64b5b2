"""Implementations that share no code meet the same vectors: a shared bug were a false green."""

from __future__ import annotations

import json
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

import engine.core.canon
import pytest_spec11.canon
from engine.core import identity as of_engine
from engine.core.recipes import instantiate, with_defaults
from engine.usecases.seed import pack
from scenarios.support.contract import identity as of_suite

GOLDEN = json.loads((Path(__file__).parents[1] / "scenarios/golden.json").read_text("utf-8"))
COURSE = GOLDEN["course"]
BOTH = pytest.mark.parametrize("canon", [engine.core.canon, pytest_spec11.canon])


@BOTH
@pytest.mark.parametrize("case", GOLDEN["canonical"], ids=itemgetter("name"))
def test_canonical_json(canon: Any, case: dict[str, str]) -> None:
    assert canon.canonical(json.loads(case["json"])).decode() == case["text"]


@BOTH
def test_the_digest_of_a_payload(canon: Any) -> None:
    assert canon.digest(GOLDEN["payload"]["value"]) == GOLDEN["payload"]["sha256"]


def by_engine(form: dict[str, Any]) -> str:
    recipe = pack()[0]
    return of_engine.intent_hash(instantiate(recipe, with_defaults(recipe.form_schema, form)))


def by_suite(form: dict[str, Any]) -> str:
    return of_suite.intent_hash(form["goal"])


@pytest.mark.parametrize("intent_hash", [by_engine, by_suite])
def test_the_course_s_form_has_the_identity_that_the_course_prints(
    intent_hash: Callable[[dict[str, Any]], str],
) -> None:
    assert intent_hash(COURSE["form"]) == COURSE["intentHash"]


@pytest.mark.parametrize("ids", [of_engine, of_suite])
def test_the_ids_that_follow_from_it(ids: Any) -> None:
    run = ids.run_id(f"ih_{COURSE['intentHash']}")
    asked = [
        ("ApplyPatchST", "approve-plan"),
        ("CompileST", "ask-user"),
        ("ApplyPatchST", "parallel-1"),
    ]

    assert run == COURSE["runId"]
    assert [ids.gate_key(run, *ask) for ask in asked] == [
        COURSE["gateKey"], COURSE["askGateKey"], COURSE["parallelGateKey"],
    ]  # fmt: skip
