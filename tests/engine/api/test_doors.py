from __future__ import annotations

import hmac
import json
import time
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from engine.api.routes import OPERATIONS
from engine.api.routing import Operation
from engine.config import Config
from engine.errors import Misconfigured
from pytest_spec11.waiting import Stopwatch
from tests.engine.api.wire import Wire
from tests.engine.processes import engine
from tests.engine.shim_process import Shim, running_shim, start_body

OPERATOR, READER, WEBHOOK = (f"{role}-token-0123456789" for role in ("operator", "reader", "hook"))
TOKENS = {
    "SPEC11_API_TOKEN": OPERATOR,
    "SPEC11_READER_TOKEN": f"{READER},another-{READER}",
    "SPEC11_WEBHOOK_TOKEN": WEBHOOK,
}
SECRET = "secret-of-the-sender"  # noqa: S105  # a test's own
EVENTS = "/api/events/hitl"
EVENT = {
    "workflowId": "ih_nobody",
    "gateKey": "g",
    "topic": "human:g",
    "payload": {"choice": "yes"},
    "dedupeKey": "k",
    "origin": "webhook",
}


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def signature(body: bytes, *, at_s: float = 0, secret: str = SECRET) -> dict[str, str]:
    moment = int(time.time() + at_s)
    code = hmac.new(secret.encode(), f"{moment}.".encode() + body, sha256).hexdigest()
    return {"x-spec11-signature": f"t={moment},v1={code}"}


@pytest.fixture(scope="module")
def guarded(clone: Callable[[], str]) -> Iterator[Shim]:
    """An api-shim with a token for each role."""
    with running_shim(clone(), **TOKENS) as running:
        yield running


@pytest.fixture(scope="module")
def signed(clone: Callable[[], str]) -> Iterator[Shim]:
    """An api-shim with a secret and no tokens."""
    with running_shim(clone(), SPEC11_WEBHOOK_SECRET=f"{SECRET},next-{SECRET}") as running:
        yield running


def ask_operation(shim: Shim, operation: Operation, headers: Mapping[str, str]) -> httpx.Response:
    """The answer to the operation on things that are not there, under ``headers``."""
    path = operation.path.replace(":path", "")
    for name in operation.parameters:
        path = path.replace(f"{{{name}}}", "nothing")
    return shim.http.request(operation.method, path, headers=dict(headers), json={})


def expect_status(operation: Operation, role: str) -> int:
    """401, 403 or 0 for one that comes in: the law of D36, written out."""
    if operation.path == "/healthz":
        return 0
    may = {
        "nobody": False,
        "reader": operation.method == "GET",
        "operator": True,
        "webhook": (operation.method, operation.path) == ("POST", EVENTS),
    }
    return 0 if may[role] else {"nobody": 401}.get(role, 403)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_every_role_meets_its_doors(guarded: Shim, operation: Operation) -> None:
    who = {
        "nobody": [{}, bearer(OPERATOR[:-1]), {"authorization": OPERATOR}, bearer("x" * 20)],
        "reader": [bearer(READER), bearer(f"another-{READER}")],
        "operator": [bearer(OPERATOR)],
        "webhook": [bearer(WEBHOOK)],
    }
    before = guarded.digest()

    for role, each in who.items():
        for headers in each:
            answer = ask_operation(guarded, operation, headers)
            refusal = expect_status(operation, role)
            assert (answer.status_code in {401, 403}) == bool(refusal), (role, answer.text)
            if refusal:
                assert answer.status_code == refusal
                assert answer.json()["code"] == {401: "unauthorized", 403: "forbidden"}[refusal]
                assert answer.headers["content-type"] == "application/json"
    assert guarded.digest() == before


def test_no_path_is_known_to_strangers(guarded: Shim) -> None:
    for method, path in (("GET", "/y"), ("PUT", "/api/run"), ("HEAD", "/healthz"), ("GET", "/x")):
        assert guarded.http.request(method, path).status_code == 401
        known = guarded.http.request(method, path, headers=bearer(READER))
        assert known.status_code == 404


def test_a_refusal_says_how_to_come_in(guarded: Shim) -> None:
    answer = guarded.http.get("/api/recipes")

    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json() == {"error": "a bearer token is required", "code": "unauthorized"}


def test_two_tokens_at_once_are_none(guarded: Shim) -> None:
    pairs = [("authorization", f"Bearer {OPERATOR}")] * 2

    assert guarded.http.get("/api/recipes", headers=pairs).status_code == 401


@pytest.mark.parametrize(("token", "status"), [("", 401), (READER, 403)])
def test_the_door_is_closed_before_the_body_is_read(guarded: Shim, token: str, status: int) -> None:
    with Wire(guarded) as wire:
        wire.send(
            f"POST /api/run HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n"
            "content-type: application/json\r\ncontent-length: 1000000\r\n"
            "expect: 100-continue\r\n\r\n"
        )
        began = Stopwatch()
        assert wire.until_cut_off().startswith(f"HTTP/1.1 {status} ")  # the body may never come
        assert began.own_s < 5


def test_without_tokens_nobody_is_asked(shim: Shim) -> None:
    for headers in ({}, bearer("wrong"), {"authorization": "x"}, {"x-spec11-signature": "wrong"}):
        seen = {ask_operation(shim, each, headers).status_code for each in OPERATIONS}
        assert seen & {401, 403} == set()
    assert shim.http.post(EVENTS, json=EVENT).status_code == 404


PAGES: list[dict[str, str]] = [  # what a browser adds for the page of another
    {"sec-fetch-site": "cross-site", "origin": "https://example.org"},
    {"origin": "https://example.org"},
    {"origin": "null"},
    {"origin": "http://["},
]


@pytest.mark.parametrize("page", PAGES, ids=["now", "older", "sandboxed", "malformed"])
def test_without_tokens_the_page_of_another_may_look_and_no_more(
    shim: Shim, page: dict[str, str]
) -> None:
    before = shim.digest()

    seen = [(each.method == "GET", ask_operation(shim, each, page)) for each in OPERATIONS]

    refused = [answer for is_look, answer in seen if not is_look]
    assert {(each.status_code, each.json()["code"]) for each in refused} == {
        (400, "foreign_origin")
    }
    assert not [answer for is_look, answer in seen if is_look and "foreign" in answer.text]
    assert shim.digest() == before


def test_without_tokens_this_machine_goes_by_its_own_name(shim: Shim) -> None:
    before = shim.digest()
    rebound = {"host": "example.org:3001", "origin": "http://example.org:3001"}

    names = rebound | {"sec-fetch-site": "same-origin"}
    seen = [ask_operation(shim, each, names) for each in OPERATIONS if each.path != "/healthz"]

    assert {(answer.status_code, answer.json()["code"]) for answer in seen} == {
        (400, "foreign_host")
    }
    assert shim.digest() == before


def test_a_page_of_our_own_may_do_all(shim: Shim) -> None:
    own = {"origin": str(shim.http.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}

    assert shim.http.post("/api/run", json=start_body("own page"), headers=own).status_code == 201


def test_a_token_proves_what_no_page_has(guarded: Shim) -> None:
    behind_a_proxy = {"host": "gate.example.org", "origin": "https://elsewhere.example.org"}

    started = guarded.http.post(
        "/api/run", json=start_body("by token"), headers=behind_a_proxy | bearer(OPERATOR)
    )

    assert started.status_code == 201


def test_tokens_are_exchanged_without_a_restart(clone: Callable[[], str], tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"old-{OPERATOR}\n")
    with running_shim(clone(), SPEC11_API_TOKEN=f"@{file}") as shim:

        def status(token: str) -> int:
            return shim.http.get("/api/recipes", headers=bearer(token)).status_code

        file.write_text(f"old-{OPERATOR}\nnew-{OPERATOR}\n")
        both = (status(f"old-{OPERATOR}"), status(f"new-{OPERATOR}"))
        file.write_text(f"new-{OPERATOR}\n")
        new = (status(f"old-{OPERATOR}"), status(f"new-{OPERATOR}"))
        file.unlink()
        gone = (status(f"new-{OPERATOR}"), shim.http.get("/healthz").status_code)

    assert (both, new, gone) == ((200, 200), (401, 200), (401, 200))


def test_a_signed_event_comes_in(signed: Shim) -> None:
    wid, gate = signed.park_run("signed")
    event = {**EVENT, "workflowId": wid, "gateKey": gate, "topic": f"human:{gate}"}
    raw = json.dumps(event, indent=3).encode()

    first = signed.http.post(EVENTS, content=raw, headers=signature(raw))
    again = signed.http.post(EVENTS, content=raw, headers=signature(raw, secret=f"next-{SECRET}"))

    assert [answer.json() for answer in (first, again)] == [
        {"ok": True, "isReplay": False},
        {"ok": True, "isReplay": True},
    ]


@pytest.mark.parametrize(
    ("headers", "altered"),
    [
        (lambda _: {}, b""),
        (lambda _: bearer(OPERATOR), b""),
        (signature, b" "),
        (lambda raw: signature(raw, secret=SECRET[:-1]), b""),
        (lambda raw: signature(raw, at_s=-301), b""),
        (lambda raw: signature(raw, at_s=310), b""),
        (lambda raw: {"x-spec11-signature": signature(raw)["x-spec11-signature"].upper()}, b""),
    ],
    ids=["none", "a token", "altered", "another secret", "too old", "too new", "unreadable"],
)
def test_an_event_that_is_not_rightly_signed_is_401_and_writes_nothing(
    signed: Shim,
    request: pytest.FixtureRequest,
    headers: Callable[[bytes], dict[str, str]],
    altered: bytes,
) -> None:
    wid, gate = signed.park_run(request.node.name)
    event = {**EVENT, "workflowId": wid, "gateKey": gate, "topic": f"human:{gate}"}
    raw = json.dumps(event).encode()
    before = signed.digest()

    answer = signed.http.post(EVENTS, content=raw + altered, headers=headers(raw))

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert signed.digest() == before


def test_a_secret_closes_no_other_door(signed: Shim) -> None:
    assert signed.http.get("/api/recipes").status_code == 200
    assert signed.start("unsigned start").status_code == 201


def test_a_token_or_a_signature_is_enough_and_a_wrong_signature_never_is(
    clone: Callable[[], str],
) -> None:
    raw = json.dumps(EVENT).encode()
    right, wrong = signature(raw), signature(b"other")
    cases: dict[int, list[dict[str, str]]] = {
        404: [bearer(WEBHOOK), bearer(OPERATOR), right, right | bearer("unknown-token-0123")],
        401: [{}, wrong, wrong | bearer(WEBHOOK), bearer("unknown-token-0123")],
        403: [bearer(READER)],
    }
    with running_shim(clone(), **TOKENS, SPEC11_WEBHOOK_SECRET=SECRET) as shim:
        seen = {
            status: [shim.http.post(EVENTS, content=raw, headers=each).status_code for each in all_]
            for status, all_ in cases.items()
        }
        elsewhere = shim.http.post("/api/run", json=start_body("x"), headers=signature(raw))

    assert seen == {status: [status] * len(all_) for status, all_ in cases.items()}
    assert elsewhere.status_code == 401


BAD: list[tuple[dict[str, str], str]] = [
    ({"SPEC11_HOST": "0.0.0.0"}, "SPEC11_HOST='0.0.0.0' is not loopback"),  # noqa: S104  # refused
    ({"SPEC11_HOST": "::"}, "SPEC11_HOST='::' is not loopback"),
    ({"SPEC11_HOST": "example.org", "SPEC11_READER_TOKEN": READER}, "needs SPEC11_API_TOKEN"),
    ({"SPEC11_API_TOKEN": "c4n4ry"}, "SPEC11_API_TOKEN is shorter than 16 characters"),
    ({"SPEC11_API_TOKEN": "c4n4ry with blanks"}, "SPEC11_API_TOKEN is not of letters"),
    ({"SPEC11_READER_TOKEN": f"{READER},c4n4ry"}, "SPEC11_READER_TOKEN is shorter"),
    ({"SPEC11_WEBHOOK_TOKEN": "@/nowhere/c4n4"}, "SPEC11_WEBHOOK_TOKEN is a file that cannot"),
    ({"SPEC11_WEBHOOK_SECRET": "c4n4ry"}, "SPEC11_WEBHOOK_SECRET is shorter"),
    (
        {"SPEC11_API_TOKEN": READER, "SPEC11_READER_TOKEN": f"x{READER},{READER}"},
        "SPEC11_API_TOKEN and SPEC11_READER_TOKEN share a key",
    ),
    ({"SPEC11_MAX_CONNECTIONS": "15"}, "SPEC11_MAX_CONNECTIONS='15' is not within 16..65536"),
]


@pytest.mark.parametrize(("env", "fault"), BAD, ids=[fault for _, fault in BAD])
def test_doors_that_cannot_be_kept_are_no_start(env: dict[str, str], fault: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        Config.from_env(env)

    assert fault in str(refused.value)
    assert "c4n4ry" not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    assert Config.from_env({"SPEC11_HOST": host}).http.host == host


@pytest.mark.parametrize("command", ["api", "worker"])
def test_both_processes_refuse_with_one_line_and_exit_2(command: str) -> None:
    ended = engine(command, SPEC11_HOST="0.0.0.0", SPEC11_WEBHOOK_SECRET="c4n4ry")  # noqa: S104, S106  # refused

    assert (ended.code, ended.stdout) == (2, "")
    [line] = ended.stderr.splitlines()
    assert "SPEC11_HOST='0.0.0.0' is not loopback" in line
    assert "SPEC11_WEBHOOK_SECRET is shorter" in line
    assert "c4n4ry" not in line


@pytest.mark.parametrize("host", ["0.0.0.0", "::1"])  # noqa: S104  # behind a token
def test_with_a_token_it_listens_where_it_is_told(clone: Callable[[], str], host: str) -> None:
    with running_shim(clone(), SPEC11_HOST=host, SPEC11_API_TOKEN=OPERATOR) as shim:
        seen = shim.http.get("/api/recipes")
        known = shim.http.get("/api/recipes", headers=bearer(OPERATOR))

    assert (seen.status_code, known.status_code) == (401, 200)
