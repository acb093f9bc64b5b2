"""S12: many promote at once and processes die, and a version is a candidate or all of it stable."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from pytest_spec11.canon import digest
from pytest_spec11.oracles.http import Reply
from pytest_spec11.oracles.sql import Row
from pytest_spec11.stacks import Stack, Stacks
from pytest_spec11.target import Target
from pytest_spec11.waiting import eventually
from scenarios.support.crowds.concurrent_requests import Answer, at_once, rivals
from scenarios.support.faults.crash_points import arm_process, await_death, cut_off, over_work
from scenarios.support.faults.holds import PATIENT, Hold, hold
from scenarios.support.faults.kill_log import Ledger
from scenarios.support.runs.promotions import (
    API_POINTS,
    DOUBLES,
    ENDS_S,
    IMPORT,
    WORKER_POINTS,
    candidate,
    due,
    import_specs,
    promote_version,
    read_findings,
    results,
    spec,
    stands,
    tries,
    url,
    workflows,
)

pytestmark = pytest.mark.S12

CROWD = 20
KEY, BEGINNING = 1201, "BEFORE INSERT ON app.promotions"
# A log of every change, without a key that could hide a second one.
LOG = """
CREATE TABLE public.moves (n bigint GENERATED ALWAYS AS IDENTITY, what text, id text, became text);
CREATE FUNCTION public.noted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.moves (what, id, became)
    VALUES (TG_TABLE_NAME, NEW.id, to_jsonb(NEW) ->> TG_ARGV[0]);
    RETURN NULL;
END $$;
CREATE TRIGGER noted AFTER UPDATE ON app.recipe_versions
    FOR EACH ROW EXECUTE FUNCTION public.noted('status');
CREATE TRIGGER noted AFTER UPDATE ON app.recipes
    FOR EACH ROW EXECUTE FUNCTION public.noted('active_v');
GRANT SELECT ON public.moves TO spec11_reader
"""
MOVES = "SELECT what, became FROM public.moves WHERE id = %(id)s ORDER BY n"
VERSIONS = "SELECT v, status FROM app.recipe_versions WHERE id = %(id)s ORDER BY v"


@pytest.fixture(scope="module")
def forge(stacks: Stacks) -> Iterator[Stack]:
    """A private stack whose processes die, and on which every move of a recipe is on record."""
    with stacks.start(env=PATIENT) as stack:
        stack.admin.execute(LOG)
        yield stack


def promote_during(place: Hold, stack: Stack, of: dict[str, Any]) -> list[Answer]:
    """The answers to a crowd that asks for one promotion; nobody is answered before all asked."""
    asked: list[float] = []

    def ask() -> Reply:
        asked.append(time.perf_counter())
        return stack.api.post(url(of), timeout=ENDS_S)

    with ThreadPoolExecutor(1) as pool:
        try:
            crowd = pool.submit(at_once, [ask] * CROWD)
            place.await_statements(1)
            place.await_blocked(2)  # the first waits here, and the next one for the version's row
            eventually(lambda: len(asked) == CROWD, deadline_s=ENDS_S)
        finally:
            place.let_go()
        return crowd.result()


def moves(stack: Stack, of: dict[str, Any]) -> list[tuple[str, str]]:
    """What became of the version and of the pointer, move by move."""
    return [(row["what"], row["became"]) for row in stack.app_sql.rows(MOVES, id=of["id"])]


def whole(row: Row, *, old: str | None = None) -> bool:
    """Whether it is a candidate with the old pointer, or stable with the new in one stroke."""
    if row["status"] == "stable":
        return bool(row["active_v"] == "v1" and row["written"] == row["pointed"])
    return bool(row["status"] == "candidate" and row["active_v"] == old)


PROMOTED = [
    ("recipe_versions", "candidate"),
    ("recipe_versions", "stable"),
    ("recipes", "v1"),
]


@pytest.mark.claim("S12.promote-atomic")
def test_twenty_promotes_at_once_are_one(forge: Stack, unique_goal: str) -> None:
    one = candidate(forge.api, spec(forge.app_sql, unique_goal))

    with hold(forge, KEY, BEGINNING, f"NEW.recipe_id = '{one['id']}'") as place:
        answers = promote_during(place, forge, one)
    last = promote_version(forge.api, one)  # also if a slow machine answered that it is under way

    said = Counter(answer.status for answer in answers)
    assert said.keys() <= {200, 202, 409}
    assert rivals(min(answers, key=lambda each: each.ended_s), answers) == CROWD - 1
    assert sorted(moves(forge, one)) == sorted(PROMOTED)
    assert forge.proc.alive("api")
    assert [each["state"] for each in tries(forge.app_sql, one)] == ["passed"]
    assert results(read_findings(forge.app_sql, one)) == due(one)
    assert whole(stands(forge.app_sql, one))
    assert (last.status, last.json()["error"]) == (
        409,
        f"recipe {unique_goal}@v1 is stable already",
    )
    for answer in answers:
        if answer.status == 409:
            assert answer.reply.json()["code"] == "illegal_state"
        else:
            assert answer.reply.json()["hash"] == digest(one)


@pytest.mark.claim("S12.promote-atomic")
def test_twenty_nominations_and_promotions_at_once_skip_nothing(
    forge: Stack, unique_goal: str
) -> None:
    one = spec(forge.app_sql, unique_goal)
    assert import_specs(forge.api, one).status == 201

    answers = at_once([partial(forge.api.post, url(one))] * CROWD)
    promote_version(forge.api, one)

    assert {answer.status for answer in answers} <= {200, 202, 409}
    nominated = [each for each in answers if each.reply.json().get("status") == "candidate"
                 and each.reply.json()["promotionID"] is None]  # fmt: skip
    assert len(nominated) == 1
    eventually(lambda: whole(stands(forge.app_sql, one)), deadline_s=ENDS_S)
    assert sorted(moves(forge, one)) == sorted(PROMOTED)
    assert forge.proc.alive("worker")


@pytest.mark.claim("S12.promote-atomic")
@pytest.mark.parametrize("point", WORKER_POINTS)
def test_a_worker_that_dies_in_a_promotion_leaves_it_whole(
    forge: Stack, spec11_target: Target, ledger: Ledger, unique_goal: str, point: str
) -> None:
    one = candidate(forge.api, spec(forge.app_sql, unique_goal))
    own = forge.process("worker")
    own.stop()
    with ThreadPoolExecutor(1) as pool:
        try:
            dying = forge.spawn(arm_process(spec11_target.process("worker"), point))
            asked = pool.submit(forge.api.post, url(one), timeout=ENDS_S)
            await_death(dying)
            ledger.hit(point, over_work(forge))
            at_death = stands(forge.app_sql, one)
        finally:
            own.start()

    assert asked.result().status in {200, 202}
    assert whole(at_death)
    assert at_death["status"] == ("stable" if point == "worker.settle.after" else "candidate")
    eventually(lambda: workflows(forge, one) == ["SUCCESS"], deadline_s=ENDS_S)
    now = stands(forge.app_sql, one)
    assert (whole(now), now["status"]) == (True, "stable")
    assert sorted(moves(forge, one)) == sorted(PROMOTED)
    assert results(read_findings(forge.app_sql, one)) == due(one)
    assert forge.app_sql.rows(DOUBLES) == []


@pytest.mark.claim("S12.promote-atomic")
@pytest.mark.parametrize("point", API_POINTS)
def test_an_api_shim_that_dies_under_a_promotion_or_an_import_did_it_or_not(
    forge: Stack, spec11_target: Target, ledger: Ledger, unique_goal: str, point: str
) -> None:
    one = spec(forge.app_sql, unique_goal)
    is_import, is_done = ".import." in point, point.endswith("committed")
    if not is_import:
        candidate(forge.api, one)
    process = arm_process(spec11_target.process("api"), point)
    dying = forge.begin(process)
    api = forge.api_at(process.name)

    if is_import:
        cut_off(lambda: api.post(IMPORT, json={"id": "b", "versions": [one]}))
    else:
        cut_off(lambda: promote_version(api, one))
    await_death(dying)
    ledger.hit(point, 1)  # the request

    if is_import:
        kept = forge.app_sql.rows(VERSIONS, id=unique_goal)
        assert kept == [{"v": "v1", "status": "draft"}] * is_done
        assert import_specs(forge.api, one).status == 201
        return
    at_death = stands(forge.app_sql, one)
    assert whole(at_death)
    assert at_death["status"] == ("stable" if is_done else "candidate")
    assert promote_version(forge.api, one).status == (409 if is_done else 200)
    assert sorted(moves(forge, one)) == sorted(PROMOTED)


@pytest.mark.claim("S12.promote-atomic")
def test_a_promotion_that_was_canceled_changes_nothing_and_may_be_asked_for_again(
    forge: Stack, unique_goal: str
) -> None:
    one = candidate(forge.api, spec(forge.app_sql, unique_goal))
    own = forge.process("worker")
    own.stop()
    try:
        under_way = partial(forge.api.post, url(one))
        asked = at_once([under_way, partial(_cancel_promotion, forge, one)])
    finally:
        own.start()

    refused, canceled = (answer.reply for answer in asked)
    assert canceled.status == 202
    assert (refused.status, refused.json()["code"]) == (409, "promotion_refused")
    assert "ended without a verdict" in refused.json()["error"]
    assert whole(stands(forge.app_sql, one))
    assert promote_version(forge.api, one).status == 200
    assert [each["state"] for each in tries(forge.app_sql, one)] == ["abandoned", "passed"]
    assert workflows(forge, one).count("SUCCESS") == 1
    assert forge.proc.alive("worker")


def _cancel_promotion(stack: Stack, of: dict[str, Any]) -> Any:
    """The answer to a cancellation of the version's promotion, once there is one."""
    (promotion,) = eventually(lambda: tries(stack.app_sql, of) or None, deadline_s=ENDS_S)
    by = {"actor": "ops", "reason": "drill"}
    return stack.api.post(f"/api/ops/wf/{promotion['id']}/cancel", json=by)
