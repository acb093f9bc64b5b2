from __future__ import annotations

import json
from typing import Any

import pytest

from tests.engine.shim_process import Shim, start_body

POSTS = ["/api/run", "/api/runs", "/api/runs/ih_x/gates/g/reply", "/api/events/hitl"]
TTL_RECIPE = """
INSERT INTO app.recipe_versions (id, v, hash, status, json)
SELECT id, 'ttl', repeat('b', 64), 'stable',
       jsonb_set(json, '{intentTmpl,constraints}', '{"timeoutS": 86401}')
FROM app.recipe_versions WHERE id = 'compile-default' AND v = 'v1'
"""
DRAFT = """
INSERT INTO app.recipe_versions (id, v, hash, status, json)
SELECT id, 'draft', repeat('c', 64), 'draft', json
FROM app.recipe_versions WHERE id = 'compile-default' AND v = 'v1'
"""


def change_body(path: str, value: object) -> dict[str, Any]:
    body = start_body("refused")
    *parents, last = path.split(".")
    place = body
    for name in parents:
        place = place.setdefault(name, {})
    place[last] = value
    return body


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"{bad", "invalid_json"),
        (b"", "invalid_json"),
        (b"[]", "invalid_request"),
        (b"1", "invalid_request"),
    ],
)
def test_what_is_no_json_object_is_400(shim: Shim, path: str, raw: bytes, code: str) -> None:
    answer = shim.http.post(path, content=raw)

    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert (answer.json()["error"] == "invalid json") == (code == "invalid_json")


@pytest.mark.parametrize(
    ("path", "value", "pointer"),
    [
        ("recipeRef", None, "/recipeRef"),
        ("recipeRef.id", "", "/recipeRef/id"),
        ("recipeRef.x", 1, "/recipeRef/x"),
        ("formData", [], "/formData"),
        ("bogus", 1, "/bogus"),
        ("a/b", 1, "/a~1b"),
        ("form_data", {}, "/form_data"),
        ("opts.bogus", 1, "/opts/bogus"),
        ("opts.lane", "fast", "/opts/lane"),
        ("opts.priority", "1", "/opts/priority"),
        ("opts.priority", 1.5, "/opts/priority"),
        ("opts.priority", True, "/opts/priority"),
        ("opts.priority", 0, "/opts/priority"),
        ("opts.priority", -5, "/opts/priority"),
        ("opts.priority", 2**31, "/opts/priority"),
        ("opts.timeoutMS", 0, "/opts/timeoutMS"),
        ("opts.queueName", "otherQ", "/opts/queueName"),
        ("opts.tenantId", "x" * 257, "/opts/tenantId"),
        ("opts.workload", {}, "/opts/workload/steps"),
        ("opts.budget", {"maxFanout": 0}, "/opts/budget/maxFanout"),
        ("formData", {}, "/formData/goal"),
        ("formData.goal", 7, "/formData/goal"),
        ("formData.more", "x", "/formData/more"),
    ],
)
def test_a_fault_is_named_by_its_pointer(
    shim: Shim, path: str, value: object, pointer: str
) -> None:
    answer = shim.http.post("/api/run", json=change_body(path, value))

    assert answer.status_code == 400
    assert pointer in [item["pointer"] for item in answer.json()["details"]]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("opts.queuePartitionKey", None),
        ("opts.queuePartitionKey", "  "),
        ("opts.queueName", "sbxQ"),
        ("opts.tenantId", " "),
        ("opts.recipeName", "other"),
        ("opts.recipeVersion", "v2"),
        ("opts.deduplicationID", "x"),
        ("opts.taskKey", "x"),
        ("opts.workload", {"concurrency": 5, "steps": 0, "sandboxMinutes": 0}),
        ("recipeRef.v", "ttl"),
    ],
)
def test_policy_refuses_with_its_code_and_writes_nothing(
    own_policy: Shim, path: str, value: object
) -> None:
    before = own_policy.digest()

    answer = own_policy.http.post("/api/run", json=change_body(path, value))

    assert (answer.status_code, answer.json()["code"]) == (400, "queue_policy_violation")
    assert own_policy.digest() == before


@pytest.fixture(scope="module")
def own_policy(shim: Shim) -> Shim:
    """The module's api-shim with a recipe whose gates wait too long, and a draft."""
    shim.run(TTL_RECIPE)
    shim.run(DRAFT)
    return shim


def test_an_earlier_check_speaks_first(own_policy: Shim) -> None:
    own_policy.start("order")
    faults: list[tuple[str, str, object, int, str]] = [
        ("schema", "opts.lane", "x", 400, "invalid RunStartRequest"),
        ("recipe", "recipeRef.id", "nope", 404, "recipe not found: nope@"),
        ("form", "formData.extra", 1, 400, "invalid form"),
        ("policy", "opts.queueName", "sbxQ", 400, "parent intent workflow"),
        ("drift", "opts.tenantId", "t", 409, "Divergence in run"),
    ]
    for first in range(len(faults)):
        body = start_body("order")
        for _, path, value, _, _ in faults[first:]:
            parent, last = path.split(".")
            body[parent][last] = value
        answer = own_policy.http.post("/api/run", json=body)
        name, _, _, status, words = faults[first]
        assert (answer.status_code, words in answer.json()["error"]) == (status, True), name


def test_a_draft_does_not_run(own_policy: Shim) -> None:
    answer = own_policy.http.post("/api/run", json=change_body("recipeRef.v", "draft"))

    assert answer.status_code == 409
    assert answer.json() == {
        "error": "recipe compile-default@draft is draft, not stable",
        "code": "recipe_not_stable",
    }


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/steps",
        "/gates",
        "/gates/g",
        "/gates/g?timeoutS=1",
        "/interactions",
        "/stream/status",
        "/proofs",
        "/repro",
    ],
)
def test_an_unknown_run_is_404_on_every_route(shim: Shim, path: str) -> None:
    answer = shim.http.get(f"/api/runs/ih_nope{path}")

    assert (answer.status_code, answer.json()) == (404, {"error": "run not found"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing"),
        ("GET", "/api/run"),
        ("PUT", "/api/run"),
        ("DELETE", "/api/runs/x"),
        ("POST", "/api/runs/x"),
        ("HEAD", "/healthz"),
        ("OPTIONS", "/api/run"),
        ("GET", "/api/runs/"),
        ("GET", "/api/runs/x/"),
        ("GET", "/healthz/"),
        ("GET", "/api/runs/%FF"),
        ("GET", "/api/runs/a%00b"),
        ("GET", "/api/recipes/a/b/versions"),
    ],
)
def test_an_unknown_path_or_method_is_404(shim: Shim, method: str, path: str) -> None:
    answer = shim.http.request(method, path)

    assert answer.status_code == 404
    assert method == "HEAD" or answer.json() == {"error": "not found"}


def test_an_encoded_id_is_decoded_and_stays_in_its_segment(shim: Shim) -> None:
    wid = shim.start("encoded").json()["workflowID"]

    found = shim.http.get("/api/runs/" + "".join(f"%{ord(letter):02X}" for letter in wid))
    escape = shim.http.get(f"/api/runs/..%2F{wid}/steps")

    assert (found.status_code, found.json()["workflowID"]) == (200, wid)
    assert escape.status_code == 404


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/api/ops/queue-depth?limit=0", "/limit"),
        ("/api/ops/queue-depth?limit=201", "/limit"),
        ("/api/ops/queue-depth?limit=1.5", "/limit"),
        ("/api/ops/queue-depth?limit=abc", "/limit"),
        ("/api/ops/queue-depth?limit=", "/limit"),
        ("/api/ops/queue-depth?limit=1&limit=2", ""),
        ("/api/ops/queue-depth?more=1", "/more"),
        ("/api/runs/x?more=1", "/more"),
        ("/api/runs/x/interactions?limit=501", "/limit"),
        ("/api/runs/x/gates/g?timeoutS=-1", "/timeoutS"),
        ("/api/runs/x/gates/g?timeoutS=31", "/timeoutS"),
        ("/api/runs/x/gates/g?timeoutS=0.5", "/timeoutS"),
        ("/api/runs/x/gates/g?timeoutS=", "/timeoutS"),
        ("/api/runs/x/gates/G", "/gateKey"),
        ("/api/runs/x/gates/" + "g" * 129, "/gateKey"),
        ("/api/ops/wf?name=a%00b", "/name"),
        ("/marks", "/wf"),
        ("/marks?wf=%00", "/wf"),
    ],
)
def test_a_query_out_of_bounds_is_400(shim: Shim, path: str, pointer: str) -> None:
    answer = shim.http.get(path)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert [item["pointer"] for item in answer.json()["details"]] == [pointer]


def test_a_text_in_a_query_may_look_like_a_number(shim: Shim) -> None:
    answer = shim.http.get("/marks?wf=42")

    assert (answer.status_code, answer.json()) == (200, {"s1": 0, "s2": 0})


def test_a_row_that_breaks_its_contract_is_500_on_the_routes_that_show_it(own_shim: Shim) -> None:
    wid, gate = own_shim.park_run("egress")
    own_shim.run("UPDATE app.human_gates SET prompt = jsonb_set(prompt, '{ttlS}', '86401')")

    shown = [own_shim.http.get(f"/api/runs/{wid}/gates{path}") for path in ("", f"/{gate}")]
    other = own_shim.http.get(f"/api/runs/{wid}")

    assert [answer.status_code for answer in shown] == [500, 500]
    assert {answer.text for answer in shown} == {'{"error":"internal error"}'}
    assert other.status_code == 200


ROUTES = {
    "POST /api/run",
    "POST /api/runs",
    "GET /api/runs/{wid}",
    "GET /api/runs/{wid}/steps",
    "GET /api/runs/{wid}/steps/{stepId}/patches",
    "GET /api/runs/{wid}/gates",
    "GET /api/runs/{wid}/gates/{gateKey}",
    "POST /api/runs/{wid}/gates/{gateKey}/reply",
    "GET /api/runs/{wid}/interactions",
    "GET /api/runs/{wid}/proofs",
    "GET /api/runs/{wid}/repro",
    "GET /api/runs/{wid}/stream/status",
    "GET /api/hitl/inbox",
    "POST /api/events/hitl",
    "GET /api/artifacts/{uri}",
    "GET /api/recipes",
    "GET /api/recipes/{id}/versions",
    "POST /api/recipes/import",
    "POST /api/recipes/export",
    "POST /api/recipes/{id}/versions/{v}/promote",
    "POST /api/runs/{wid}/retry",
    "GET /api/ops/queue-depth",
    "GET /api/ops/signoff",
    "GET /api/ops/throughput",
    "GET /api/ops/wf",
    "GET /api/ops/wf/{id}",
    "GET /api/ops/wf/{id}/steps",
    "POST /api/ops/wf/{id}/cancel",
    "POST /api/ops/wf/{id}/resume",
    "POST /api/ops/wf/{id}/fork",
    "POST /crashdemo",
    "GET /marks",
    "GET /healthz",
    "GET /openapi.json",
}


def test_the_document_describes_exactly_the_served_routes(shim: Shim) -> None:
    document = shim.http.get("/openapi.json").json()

    assert document["openapi"] == "3.1.0"
    assert {
        f"{method.upper()} {path}" for path, at in document["paths"].items() for method in at
    } == ROUTES


def test_the_document_says_parameters_replies_and_credentials(shim: Shim) -> None:
    document = shim.http.get("/openapi.json").json()

    (wf,) = document["paths"]["/marks"]["get"]["parameters"]
    assert (wf["name"], wf["in"], wf["required"]) == ("wf", "query", True)
    start = document["paths"]["/api/run"]["post"]
    assert set(start["responses"]) == {"200", "201", "400", "401", "403", "404", "409", "500"}
    assert start["security"] == [{}, {"token": []}]
    event = document["paths"]["/api/events/hitl"]["post"]
    assert event["security"] == [{}, {"token": []}, {"signature": []}]
    assert document["paths"]["/healthz"]["get"]["security"] == []
    assert document["components"]["securitySchemes"].keys() == {"token", "signature"}
    refs = set(json.dumps(document).split('"$ref": "')[1:])
    names = {ref.partition('"')[0].rpartition("/")[2] for ref in refs}
    assert names <= document["components"]["schemas"].keys()
