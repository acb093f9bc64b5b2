"""S12: what is brought in is kept as it was written, all of it or nothing, and goes out again."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from pytest_spec11.canon import canonical, digest
from pytest_spec11.stacks import Stack, Stacks
from scenarios.support.contract.start_requests import start
from scenarios.support.faults.zero_writes import zero_writes
from scenarios.support.probes import hostile_recipes
from scenarios.support.runs.promotions import (
    EXPORT,
    IMPORT,
    candidate,
    import_specs,
    promote_version,
    spec,
    stable,
    stands,
    url,
)

pytestmark = pytest.mark.S12

VERSIONS = "SELECT v, status, hash, json FROM app.recipe_versions WHERE id = %(id)s ORDER BY v"
FIXTURES = "SELECT v, fixture_id, json FROM app.recipe_fixtures WHERE recipe_id = %(id)s ORDER BY 1"
# Statements that change what is stable, and what each of them breaks.
THAWING = {
    "UPDATE app.recipe_versions SET json = json || '{{}}' WHERE id = '{id}'": "versions_update",
    "UPDATE app.recipe_versions SET status = 'draft' WHERE id = '{id}'": "versions_update",
    "UPDATE app.recipe_versions SET hash = repeat('0', 64) WHERE id = '{id}'": "versions_update",
    "DELETE FROM app.recipe_versions WHERE id = '{id}'": "versions_delete",
    "UPDATE app.recipe_fixtures SET json = '{{}}' WHERE recipe_id = '{id}'": "fixtures_change",
    "DELETE FROM app.recipe_fixtures WHERE recipe_id = '{id}'": "fixtures_change",
}
BOUNDED_S = 20  # a hundredth of it on a machine that does nothing else
SKIPPING = "UPDATE app.recipe_versions SET status = 'stable' WHERE id = '{id}'"
REWRITING = "UPDATE app.recipe_versions SET json = '{{}}' WHERE id = '{id}'"


@pytest.mark.claim("S12.import-atomic")
def test_a_bundle_comes_in_as_drafts_each_with_its_hash(lab: Stack, unique_goal: str) -> None:
    specs = [spec(lab.app_sql, unique_goal, v) for v in ("v1", "v2")]
    specs.append(spec(lab.app_sql, f"{unique_goal}, another", tags=None))

    answer = import_specs(lab.api, *specs, bundle=unique_goal)

    hashes = [digest(each) for each in specs]
    assert (answer.status, answer.json()) == (
        201,
        {
            "id": unique_goal,
            "versions": [
                {"id": each["id"], "v": each["v"], "hash": hashed, "status": "draft"}
                for each, hashed in zip(specs, hashes, strict=True)
            ],
        },
    )
    stored = {name: lab.app_sql.rows(VERSIONS, id=name) for name in {one["id"] for one in specs}}
    for each, hashed in zip(specs, hashes, strict=True):
        (row,) = [row for row in stored[each["id"]] if row["v"] == each["v"]]
        assert (row["status"], row["hash"], digest(row["json"])) == ("draft", hashed, hashed)
        assert stands(lab.app_sql, each)["active_v"] is None
    kept = lab.app_sql.rows(FIXTURES, id=unique_goal)
    assert [(row["v"], row["json"]) for row in kept] == [
        (each["v"], fixture) for each in specs[:2] for fixture in each["fixtures"]
    ]


@pytest.mark.claim("S12.import-atomic")
def test_one_bad_version_keeps_the_whole_bundle_out(lab: Stack, unique_goal: str) -> None:
    good = spec(lab.app_sql, unique_goal)
    bad = hostile_recipes.specs(spec(lab.app_sql, unique_goal, "v2"))

    with zero_writes(lab):
        answers = {name: import_specs(lab.api, good, each) for name, each in bad.items()}
        twice = import_specs(lab.api, good, good)
        empty = import_specs(lab.api)
        unknown = lab.api.post(IMPORT, json={"id": "x", "versions": [good], "bogus": 1})

    said = {
        name: (answer.status, [fault["pointer"] for fault in answer.json()["details"]])
        for name, answer in answers.items()
    }
    assert said == {
        name: (400, [f"/versions/1{at}"]) for name, (_, _, at) in hostile_recipes.HOSTILE.items()
    }
    assert max(answer.own_s for answer in answers.values()) < 5
    others = [
        (each.status, each.json()["details"][0]["pointer"]) for each in (twice, empty, unknown)
    ]
    assert others == [(400, "/versions/1/v"), (400, "/versions"), (400, "/bogus")]
    assert lab.app_sql.rows(VERSIONS, id=unique_goal) == []


def versions_in_order(pack: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The versions of a recipe as an export lists them: by number."""
    return [one for v in ("v2", "v9", "v10") for one in pack if (one["id"], one["v"]) == (name, v)]


@pytest.mark.claim("S12.export-round-trip")
def test_what_goes_out_is_what_came_in_also_into_a_fresh_database(
    lab: Stack, stacks: Stacks, unique_goal: str
) -> None:
    names = [f"{unique_goal} {number}" for number in range(3)]
    odd = {"n": [1.5, 1e21, -0.0, 2**53 - 1, "ÄÖ 𝄞", None], "": {"a/b~c": [[]]}}
    pack = [
        spec(lab.app_sql, name, v, intentTmpl={"goal": name, "inputs": odd, "constraints": {}})
        for name in names
        for v in ("v2", "v10", "v9")
    ]
    assert import_specs(lab.api, *pack, bundle="named otherwise").status == 201

    out = {name: lab.api.post(EXPORT, json={"id": name}) for name in names}
    nobody = lab.api.post(EXPORT, json={"id": f"{unique_goal}, unknown"})

    assert {name: answer.body for name, answer in out.items()} == {
        name: canonical({"id": name, "versions": versions_in_order(pack, name)}) for name in names
    }
    assert (nobody.status, nobody.json()) == (
        404,
        {"error": f"recipe not found: {unique_goal}, unknown"},
    )
    with stacks.start(only=("api",)) as fresh:
        for name in names:
            assert fresh.api.post(IMPORT, json=out[name].json()).status == 201
        here, there = (
            {name: stack.app_sql.rows(VERSIONS, id=name) for name in names}
            for stack in (lab, fresh)
        )
    assert here == there
    assert {row["hash"] for rows in there.values() for row in rows} == {*map(digest, pack)}


@pytest.mark.claim("S12.stable-immutable")
def test_a_stable_version_takes_nothing_over_it_and_the_database_keeps_it(
    lab: Stack, unique_goal: str
) -> None:
    one = spec(lab.app_sql, unique_goal)
    stable(lab.api, one)
    fresh = spec(lab.app_sql, f"{unique_goal}, fresh")
    before = stands(lab.app_sql, one)

    with zero_writes(lab):
        answers = [
            import_specs(lab.api, one),
            import_specs(lab.api, {**one, "tags": ["other"]}),
            import_specs(lab.api, fresh, one),
        ]

    message = f"stable recipe version is immutable: {unique_goal}@v1"
    refusal = {"error": message, "code": "recipe_immutable"}
    assert [(answer.status, answer.json()) for answer in answers] == [(409, refusal)] * 3
    tried = {
        statement: lab.admin.try_statement("spec11", statement.format(id=unique_goal))
        for statement in THAWING
    }
    assert tried == {statement: f"stable_recipe_{name}" for statement, name in THAWING.items()}
    assert stands(lab.app_sql, one) == before
    assert (before["status"], before["hash"]) == ("stable", digest(one))


@pytest.mark.claim("S12.stable-immutable")
def test_what_a_draft_says_never_changes_and_it_skips_no_step(lab: Stack, unique_goal: str) -> None:
    one = spec(lab.app_sql, unique_goal)
    assert import_specs(lab.api, one).status == 201

    with zero_writes(lab):
        skips = lab.admin.try_statement("spec11", SKIPPING.format(id=unique_goal))
        changes = lab.admin.try_statement("spec11", REWRITING.format(id=unique_goal))

    assert (skips, changes) == ("recipe_versions_one_step", "recipe_versions_content")
    assert stands(lab.app_sql, one)["status"] == "draft"
    assert lab.api.post(EXPORT, json={"id": unique_goal}).json()["versions"] == [one]


@pytest.mark.claim("S12.draft-reimport")
@pytest.mark.parametrize("status", ["draft", "candidate"])
def test_the_same_again_is_no_news_and_anything_else_a_conflict(
    lab: Stack, unique_goal: str, status: str
) -> None:
    one, fresh = spec(lab.app_sql, unique_goal), spec(lab.app_sql, f"{unique_goal}, fresh")
    if status == "draft":
        assert import_specs(lab.api, one).status == 201
    else:
        candidate(lab.api, one)
    other = {**one, "prompts": {**one["prompts"], "compile": "Compile otherwise"}}

    with zero_writes(lab):
        same = import_specs(lab.api, one)
        changed = import_specs(lab.api, other)
        among = import_specs(lab.api, fresh, other)

    version = {"id": unique_goal, "v": "v1", "hash": digest(one), "status": status}
    assert (same.status, same.json()["versions"]) == (201, [version])
    drift = {"field": "hash", "existing": digest(one), "incoming": digest(other)}
    assert [
        (each.status, each.json()["code"], each.json()["drift"]) for each in (changed, among)
    ] == [(409, "recipe_conflict", [drift])] * 2
    assert stands(lab.app_sql, one)["hash"] == digest(one)


@pytest.mark.claim("S12.only-stable-runs")
def test_a_run_pins_a_stable_version_or_none(lab: Stack, unique_goal: str) -> None:
    draft = spec(lab.app_sql, unique_goal, "v1")
    assert import_specs(lab.api, draft).status == 201
    nominee = candidate(lab.api, spec(lab.app_sql, unique_goal, "v2"))
    bodies = {
        status: {**start(unique_goal), "recipeRef": {"id": each["id"], "v": each["v"]}}
        for status, each in (("draft", draft), ("candidate", nominee))
    }

    with zero_writes(lab):
        answers = {status: lab.api.post("/api/run", json=body) for status, body in bodies.items()}

    said = {status: (each.status, each.json()) for status, each in answers.items()}
    versions = {"draft": "v1", "candidate": "v2"}
    assert said == {
        status: (
            409,
            {
                "error": f"recipe {unique_goal}@{v} is {status}, not stable",
                "code": "recipe_not_stable",
            },
        )
        for status, v in versions.items()
    }
    started = "SELECT count(*) FROM app.runs WHERE recipe_id = %(id)s"
    assert lab.app_sql.value(started, id=unique_goal) == 0
    queued = "SELECT count(*) FROM dbos.workflow_input WHERE inputs LIKE %(id)s"
    assert lab.sys_sql.value(queued, id=f"%{unique_goal}%") == 0
    assert promote_version(lab.api, nominee).status == 200
    assert lab.api.post("/api/run", json=bodies["candidate"]).status == 201


@pytest.mark.claim("S12.natural-order")
def test_versions_come_in_the_order_of_people(lab: Stack, unique_goal: str) -> None:
    checks = [{"id": f"c{number}", "kind": "file_exists", "glob": "*"} for number in range(3)]
    forms = [{"id": f"f{number}", "formData": {"goal": "x"}} for number in range(2)]
    newest_first = ["v11", "v10", "v9.10", "v9.9", "v9", "v2", "v1"]
    sent = ["v10", "v9", "v1", "v11", "v9.10", "v2", "v9.9"]
    specs = [spec(lab.app_sql, unique_goal, v, eval=checks, fixtures=forms) for v in sent]
    assert import_specs(lab.api, *specs).status == 201
    stable(lab.api, specs[1])

    at = f"/api/recipes/{quote(unique_goal, safe='')}/versions"
    listed = lab.api.get(at).json()
    (row,) = [each for each in lab.api.get("/api/recipes").json() if each["id"] == unique_goal]
    out = lab.api.post(EXPORT, json={"id": unique_goal}).json()

    assert [(each["v"], each["evalCount"], each["fixtureCount"]) for each in listed] == [
        (v, 3, 2) for v in newest_first
    ]
    assert {each["v"]: each["status"] for each in listed} == {
        v: "stable" if v == "v9" else "draft" for v in newest_first
    }
    assert (row["latestV"], row["status"], row["name"]) == ("v11", "draft", unique_goal)
    assert [each["v"] for each in out["versions"]] == newest_first[::-1]
    assert stands(lab.app_sql, specs[1])["active_v"] == "v9"
    reads = [
        [
            lab.api.get(path).body
            for path in ("/api/recipes", f"/api/recipes/{unique_goal}/versions")
        ]
        for _ in range(3)
    ]
    assert reads == [reads[0]] * 3


@pytest.mark.claim("S12.natural-order")
def test_two_recipes_of_one_name_are_both_promoted(lab: Stack, unique_goal: str) -> None:
    twins = [spec(lab.app_sql, f"{unique_goal} {n}", name=unique_goal) for n in range(2)]

    refs = [stable(lab.api, twin) for twin in twins]

    listed = {each["id"]: each["name"] for each in lab.api.get("/api/recipes").json()}
    assert [listed[ref["id"]] for ref in refs] == [unique_goal] * 2
    assert [stands(lab.app_sql, twin)["active_v"] for twin in twins] == ["v1", "v1"]
    again = [lab.api.post(url(twin)) for twin in twins]
    assert [each.status for each in again] == [409, 409]
