"""S00: who may come in, from where, and as whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from pytest_spec11.fixtures import Provokes
from pytest_spec11.oracles.http import Api, Reply
from pytest_spec11.stacks import Stack, Stacks
from scenarios.support.contract.commands import engine
from scenarios.support.contract.credentials import OPERATOR, READER, TOKENS, WEBHOOK, bearer
from scenarios.support.contract.events import EVENTS, event
from scenarios.support.contract.inventory import Operation, operations
from scenarios.support.contract.start_requests import reply, start
from scenarios.support.faults.zero_writes import zero_writes
from scenarios.support.runs.run_lifecycle import await_status, park_run

pytestmark = pytest.mark.S00
EVERYWHERE = "0.0.0.0"  # noqa: S104  # what is to be refused, and then to be behind a token
STRANGERS = {
    "none": {},
    "wrong": bearer("nobodys-token-of-the-suite"),
    "no scheme": {"authorization": TOKENS["SPEC11_API_TOKEN"]},
    "another scheme": {"authorization": f"Basic {TOKENS['SPEC11_API_TOKEN']}"},
    "cut off": bearer(TOKENS["SPEC11_API_TOKEN"][:-1]),
    "with more": bearer(TOKENS["SPEC11_API_TOKEN"] + "x"),
}
ROLES = {"reader": READER, "operator": OPERATOR, "webhook": WEBHOOK}
PAGES = {  # what a browser says of a page that is not ours and no page alters; what it may not
    "another site": ({"origin": "https://example.org", "sec-fetch-site": "cross-site"}, {"POST"}),
    "an older browser": ({"origin": "https://example.org"}, {"POST"}),
    "our port by their name": ({"host": "example.org"}, {"GET", "POST"}),
}
BY = {"actor": "qa", "reason": "drill"}


@pytest.fixture(scope="module")
def guarded(stacks: Stacks) -> Iterator[Stack]:
    """A private stack with a token for each role."""
    with stacks.start(env=TOKENS) as made:
        yield made


def ask_operation(api: Api, operation: Operation, wid: str) -> Reply:
    """The reply to a sound request of the operation about the run ``wid``."""
    names = {"wid": wid, "id": wid, "gateKey": "approve-plan-0", "uri": "none"}
    bodies: dict[str, Any] = {
        "/api/run": start("never started"),
        "/api/runs": {"intentId": wid, "queuePartitionKey": "tenant-acme"},
        "/api/runs/{wid}/gates/{gateKey}/reply": reply(),
        EVENTS: event(wid, "approve-plan-0"),
        "/api/ops/wf/{id}/fork": {**BY, "stepN": 1},
    }
    taken = {name: value for name, value in names.items() if f"{{{name}}}" in operation.path}
    body = bodies.get(operation.path, BY) if operation.body else None
    return api.request(operation.method, operation.at(**taken), json=body)


def cancel_run(known: Api, goal: str) -> str:
    """The workflow id of a run that was canceled: what it can stream has an end."""
    wid: str = park_run(known, goal)["workflowID"]
    assert known.post(f"/api/ops/wf/{wid}/cancel", json=BY).status == 202
    await_status(known, wid, {"CANCELLED"}, deadline_s=5)
    return wid


def may(role: str, operation: Operation) -> bool:
    """The law of the doors."""
    if (operation.method, operation.path) == ("GET", "/healthz"):
        return True
    return {
        "operator": True,
        "reader": operation.method == "GET",
        "webhook": (operation.method, operation.path) == ("POST", EVENTS),
    }.get(role, False)


@pytest.mark.claim("S00.loopback-default")
def test_both_processes_listen_on_loopback_alone(lab: Stack) -> None:
    sockets = {name: lab.proc.sockets(name) for name in ("api", "worker")}

    assert all(each.loopback for found in sockets.values() for each in found)
    assert [each.port for each in sockets["api"]] == [urlsplit(lab.base_url).port]
    assert sockets["worker"] == []
    admin = {lab.proc.environ(name).get("ADMIN_PORT", "3002") for name in sockets}
    assert str(urlsplit(lab.base_url).port) not in admin
    assert lab.api.get("/healthz").status == 200


@pytest.mark.claim("S00.loopback-default")
@pytest.mark.parametrize("command", ["api", "worker"])
def test_no_process_starts_elsewhere_without_a_token(lab: Stack, command: str) -> None:
    for env in (
        {"SPEC11_HOST": EVERYWHERE},
        {"SPEC11_HOST": "::"},
        {"SPEC11_HOST": EVERYWHERE, "SPEC11_READER_TOKEN": TOKENS["SPEC11_READER_TOKEN"]},
        {"SPEC11_HOST": EVERYWHERE, "SPEC11_API_TOKEN": "short"},
    ):
        ended = engine(lab, command, env={"PORT": "0", "DBOS__VMID": "w9", **env}, deadline_s=10)

        assert (ended.code != 0, ended.stdout) == (True, "")
        assert "SPEC11_HOST" in ended.stderr or "SPEC11_API_TOKEN" in ended.stderr


@pytest.mark.claim("S00.loopback-default")
@pytest.mark.parametrize("page", PAGES)
def test_no_page_of_another_reaches_in_through_a_browser(
    lab: Stack, unique_goal: str, page: str
) -> None:
    headers, closed = PAGES[page]
    wid = park_run(lab.api, unique_goal)["workflowID"]
    through = lab.api.using(headers)
    places = [each for each in operations(lab.api) if each.path != "/healthz"]

    with zero_writes(lab):
        refused = [ask_operation(through, each, wid) for each in places if each.method in closed]

    assert {reply.status for reply in refused} == {400}
    assert len(refused) >= 10
    assert lab.api.get(f"/api/runs/{wid}").json()["nextAction"] == "APPROVE_PLAN"


@pytest.mark.claim("S00.loopback-default")
def test_elsewhere_with_a_token_strangers_are_turned_away(
    stacks: Stacks, provokes: Provokes, unique_goal: str
) -> None:
    with stacks.start(env={"SPEC11_HOST": EVERYWHERE, **TOKENS}) as wide:
        (listening,) = wide.proc.sockets("api")
        known = wide.api.using(OPERATOR)
        wid = cancel_run(known, unique_goal)
        provokes(wid, "canceled on purpose")
        routes = operations(known)

        with zero_writes(wide):
            replies = {
                (each.method, each.path): ask_operation(wide.api, each, wid)
                for each in routes
                if each.path != "/healthz"
            }

        assert (listening.host, listening.loopback) == (EVERYWHERE, False)
        assert {place: each.status for place, each in replies.items()} == dict.fromkeys(
            replies, 401
        )
        assert len(replies) >= 20
        assert wide.api.get("/healthz").status == 200


@pytest.mark.claim("S00.roles-enforced")
def test_every_role_meets_every_door(guarded: Stack, provokes: Provokes, unique_goal: str) -> None:
    known = guarded.api.using(OPERATOR)
    waits = park_run(known, unique_goal)["workflowID"]
    over = cancel_run(known, f"{unique_goal}, over")
    provokes(over, "canceled on purpose")
    routes = operations(known)
    assert {"/healthz", "/api/run", EVENTS, "/api/hitl/inbox"} <= {each.path for each in routes}
    people = {**STRANGERS, **ROLES}
    cells = [(who, each) for who in people for each in routes]

    with zero_writes(guarded):
        refused = {
            (who, each.method, each.path): ask_operation(
                guarded.api.using(people[who]), each, over if "stream" in each.path else waits
            )
            for who, each in cells
            if not may(who, each)
        }
    let_in = {
        (who, each.method, each.path): ask_operation(guarded.api.using(people[who]), each, over)
        for who, each in cells
        if may(who, each)
    }

    assert {cell: reply.status for cell, reply in refused.items()} == {
        cell: 403 if cell[0] in ROLES else 401 for cell in refused
    }
    assert {reply.json()["code"] for reply in refused.values()} == {"unauthorized", "forbidden"}
    assert {
        cell: reply.status for cell, reply in let_in.items() if reply.status in {401, 403, 500}
    } == {}
    counts = {who: sum(cell[0] == who for cell in let_in) for who in people}
    gets = sum(each.method == "GET" for each in routes)
    assert counts == {
        **dict.fromkeys(STRANGERS, 1),
        "reader": gets,
        "operator": len(routes),
        "webhook": 2,
    }


@pytest.mark.claim("S00.roles-enforced")
def test_a_path_that_is_none_is_no_secret_to_tell(guarded: Stack) -> None:
    places = [
        ("GET", "/nothing"),
        ("GET", "/api/nothing"),
        ("PUT", "/api/run"),
        ("DELETE", "/healthz"),
    ]

    with zero_writes(guarded):
        strange = [guarded.api.request(*each).status for each in places]
        known = [guarded.api.using(READER).request(*each).status for each in places]

    assert (strange, known) == ([401] * 4, [404] * 4)
