from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import psutil
import pytest

from engine.api.connections import HEAD_S, MAX_HEAD, MAX_HEADERS, TAKE_S
from pytest_spec11.waiting import GIVE_UP_S, Stopwatch, eventually
from tests.engine.api.wire import Wire
from tests.engine.shim_process import Shim, running_shim, start_body

GET = "GET /api/recipes HTTP/1.1\r\nhost: localhost\r\n"
CHUNKED = " HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
FEW = 32
SIZE = 8_000_000
LARGE = """
INSERT INTO app.artifacts (run_id, step_id, idx, kind, uri, inline, sha256)
SELECT id, 'CompileST', 0, 'text', 'large', jsonb_build_object('text', repeat('x', %s)),
       encode(sha256(convert_to(repeat('x', %s), 'UTF8')), 'hex')
FROM app.runs WHERE workflow_id = %s
"""


@pytest.fixture(scope="module")
def small(clone: Callable[[], str]) -> Iterator[Shim]:
    """An api-shim for few connections."""
    with running_shim(clone(), SPEC11_MAX_CONNECTIONS=str(FEW)) as running:
        yield running


def clients(shim: Shim) -> set[int]:
    """The ports of the clients whose connections the api-shim holds open."""
    lines = psutil.Process(shim.process.pid).net_connections("tcp")
    return {line.raddr.port for line in lines if line.status == psutil.CONN_ESTABLISHED}


def newcomer(shim: Shim) -> httpx.Client:
    """A client without a connection; those of others may be cut off as idle at any moment."""
    return httpx.Client(base_url=shim.http.base_url, timeout=GIVE_UP_S, trust_env=False)


def refusal(answer: str) -> tuple[str, str]:
    """Status line and code of a refusal."""
    head, _, body = answer.partition("\r\n\r\n")
    assert "content-type: application/json" in head
    assert "connection: close" in head
    return head.partition("\r\n")[0], json.loads(body)["code"]


def trickle(shim: Shim, begin: str, drop: str) -> tuple[str, float]:
    """What came of ``begin`` and then ``drop`` after ``drop``, and for how many seconds it went."""
    began = time.monotonic()
    with Wire(shim) as wire:
        wire.send(begin)
        cut_off: list[str] = []

        def drip() -> bool:
            wire.send(drop)
            if (piece := wire.piece()) is not None:
                cut_off.append(piece)
            return piece == ""

        eventually(drip, deadline_s=3 * HEAD_S, every_s=0.2)
        return "".join(cut_off), time.monotonic() - began


def own_s_of(shim: Shim) -> float:
    """The seconds of its own that one request takes."""
    watch = Stopwatch()
    assert shim.http.get("/api/recipes").status_code == 200
    return watch.own_s


def test_slow_clients_are_cut_off_and_others_do_not_notice(shim: Shim) -> None:
    slow = {
        "a head without an end": (GET, "a: b\r\n"),
        "no head at all": ("", ""),
        "a second head without an end": (f"{GET}\r\n{GET}", "a: b\r\n"),
        "a body that nobody reads": (
            "POST /nowhere HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9999\r\n\r\n",
            "x",
        ),
        "trailers without an end": (
            f"POST /nowhere{CHUNKED}",
            "a: b\r\n",
        ),
    }
    with ThreadPoolExecutor(len(slow)) as pool:
        begun = {name: pool.submit(trickle, shim, *each) for name, each in slow.items()}
        answered = [own_s_of(shim)]
        beside = [name for name, each in begun.items() if not each.done()]
        answered += [own_s_of(shim) for _ in range(49)]
        ended = {name: each.result() for name, each in begun.items()}

    assert max(answered) < 2
    assert beside == [*slow]
    assert min(took for _, took in ended.values()) > HEAD_S - 1
    assert refusal(ended["a head without an end"][0]) == (
        "HTTP/1.1 400 Bad Request",
        "head_too_slow",
    )
    assert ended["no head at all"][0] == ""
    second = ended["a second head without an end"][0]
    assert (second[:12], second.count("head_too_slow")) == ("HTTP/1.1 200", 1)
    for name in ("a body that nobody reads", "trailers without an end"):
        assert (ended[name][0][:12], ended[name][0].count("HTTP/1.1")) == ("HTTP/1.1 404", 1)


@pytest.mark.parametrize(
    "head",
    [
        GET + f"a: {'x' * MAX_HEAD}\r\n\r\n",
        GET + "a: " + "x" * 2 * MAX_HEAD,
        GET + "a" * 2 * MAX_HEAD,
        f"GET /{'x' * MAX_HEAD} HTTP/1.1\r\nhost: localhost\r\n\r\n",
        GET + "a: b\r\n" * MAX_HEADERS + "\r\n",
    ],
    ids=["a long value", "an endless value", "an endless name", "a long path", "many names"],
)
def test_a_head_is_bounded(shim: Shim, head: str) -> None:
    with Wire(shim) as wire:
        wire.send(head)
        answer = wire.until_cut_off()

    assert refusal(answer) == ("HTTP/1.1 400 Bad Request", "head_too_large")


def test_the_largest_head_is_read(shim: Shim) -> None:
    path = "/api/recipes"
    names = "".join(f"n{number}: {'v' * 100}\r\n" for number in range(MAX_HEADERS - 2))
    rest = MAX_HEAD - len(path) - len("hostlocalhost") - sum(
        len(f"n{number}") + 100 for number in range(MAX_HEADERS - 2)
    ) - len("last")  # fmt: skip
    with Wire(shim) as wire:
        wire.send(f"{GET}{names}last: {'v' * rest}\r\n\r\n")

        assert wire.answer().startswith("HTTP/1.1 200 ")


def test_endless_trailers_are_bounded_in_bytes(shim: Shim) -> None:
    with Wire(shim) as wire:
        wire.send(f"POST /api/run{CHUNKED}a: ")

        eventually(lambda: not wire.send("x" * MAX_HEAD), deadline_s=5)


@pytest.mark.parametrize(
    "garbage", ["\x16\x03\x01\x02\x00\x01", "nonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"]
)
def test_what_is_no_http_is_refused_in_json(shim: Shim, garbage: str) -> None:
    with Wire(shim) as wire:
        wire.send(garbage)

        assert refusal(wire.until_cut_off()) == ("HTTP/1.1 400 Bad Request", "invalid_request")


def test_garbage_behind_a_request_under_way_just_ends_it(shim: Shim) -> None:
    wid, gate = shim.park_run("garbage")
    with Wire(shim) as wire:
        wire.send(
            f"GET /api/runs/{wid}/gates/{gate}?timeoutS=20 HTTP/1.1\r\nhost: localhost\r\n\r\n"
        )
        wire.send("nonsense\r\n\r\n")
        began = Stopwatch()

        assert wire.until_cut_off() == ""
        assert began.own_s < 5


def test_who_only_holds_connections_keeps_nobody_out(small: Shim) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(Wire(small)) for _ in range(3 * FEW)]
        for wire in held:
            wire.send(GET)
        with newcomer(small) as late:
            answers = [late.get("/api/recipes").status_code for _ in range(20)]
        with Wire(small) as fresh:
            fresh.send(f"{GET}\r\n")
            fresh_answer = fresh.answer()

        assert answers == [200] * 20
        assert fresh_answer.startswith("HTTP/1.1 200 ")
        eventually(lambda: len(clients(small)) <= FEW, deadline_s=5)
        assert held[0].until_cut_off() == ""


def test_there_are_fewer_where_fewer_files_may_be_open(clone: Callable[[], str]) -> None:
    few = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))\n"
    with running_shim(clone(), before=few) as shim, ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(Wire(shim))

        assert shim.http.get("/api/recipes").status_code == 200
        eventually(lambda: 0 < len(clients(shim)) <= 160 - 128, deadline_s=5)


def test_who_is_answered_is_not_sent_away(small: Shim) -> None:
    wid, gate = small.park_run("busy")
    poll = f"GET /api/runs/{wid}/gates/{gate}?timeoutS=30 HTTP/1.1\r\nhost: localhost\r\n\r\n"
    reply = {"payload": {"choice": "yes"}, "dedupeKey": "k", "origin": "manual"}
    with ExitStack() as stack:
        polls = [stack.enter_context(Wire(small)) for _ in range(FEW - 2)]
        for wire in polls:
            wire.send(poll)
        idle = [stack.enter_context(Wire(small)) for _ in range(FEW)]
        eventually(lambda: len(clients(small)) <= FEW, deadline_s=5)
        with newcomer(small) as late:
            late.post(f"/api/runs/{wid}/gates/{gate}/reply", json=reply)

        assert {wire.answer()[:12] for wire in polls} == {"HTTP/1.1 200"}
        assert idle[0].until_cut_off() == ""


@pytest.mark.parametrize("requests", [1, 200], ids=["one large answer", "a pipeline"])
def test_who_takes_no_answer_is_cut_off(own_shim: Shim, requests: int) -> None:
    uri = large_artifact(own_shim)
    with Wire(own_shim, receives=1024) as wire:
        eventually(lambda: wire.port in clients(own_shim), deadline_s=5)
        began = time.monotonic()
        wire.send(f"GET /api/artifacts/{uri} HTTP/1.1\r\nhost: localhost\r\n\r\n" * requests)

        eventually(lambda: wire.port not in clients(own_shim), deadline_s=3 * TAKE_S)
        assert time.monotonic() - began > TAKE_S / 2


def test_who_takes_a_large_answer_slowly_gets_all_of_it(own_shim: Shim) -> None:
    uri = large_artifact(own_shim)
    with Wire(own_shim, receives=65536) as wire:
        wire.send(
            f"GET /api/artifacts/{uri} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        )
        began, sips = time.monotonic(), list[int]()

        def sip() -> bool:
            sips.append(wire.count_until(SIZE // 80))
            return not sips[-1]

        eventually(sip, deadline_s=4 * TAKE_S, every_s=0.25)
        assert time.monotonic() - began > TAKE_S + 2  # seconds beyond what nobody may stand still
        assert sum(sips) > SIZE


def large_artifact(shim: Shim) -> str:
    """The address of an artifact of SIZE bytes."""
    wid = shim.start("large").json()["workflowID"]
    shim.run(LARGE, SIZE, SIZE, wid)
    return "large"


OFFER = (
    "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"
)


def test_an_offer_of_another_protocol_is_ignored_and_the_body_is_read(shim: Shim) -> None:
    body = json.dumps(start_body("offers HTTP/2"))
    post = (
        "POST /api/run HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n{OFFER}\r\n"
    )
    with Wire(shim) as wire:
        wire.send(post + body)
        assert wire.answer().startswith("HTTP/1.1 201 ")
        wire.send(post)
        wire.send(body + GET + OFFER + "\r\n")  # the body comes later, with the next request
        replay = wire.answer()
        assert replay.startswith("HTTP/1.1 200 ")
        assert (replay + wire.answer()).count("HTTP/1.1 200 ") == 2


@pytest.mark.parametrize(
    "head",
    [
        "POST /api/run HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: xchunked\r\n",
        "POST /api/run HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: gzip, chunked\r\n",
        "GET /api/recipes HTTP/1.1\r\n",
        "GET /api/recipes HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n",
        "CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n",
    ],
    ids=["coding", "two codings", "no host", "two hosts", "a tunnel"],
)
def test_a_request_that_cannot_be_read_is_refused_in_words(shim: Shim, head: str) -> None:
    with Wire(shim) as wire:
        wire.send(f"{head}\r\n2\r\n{{}}\r\n0\r\n\r\n")
        assert refusal(wire.until_cut_off()) == ("HTTP/1.1 400 Bad Request", "invalid_request")


def test_the_oldest_clients_name_no_host(shim: Shim) -> None:
    with Wire(shim) as wire:
        wire.send("GET /api/recipes HTTP/1.0\r\n\r\n")
        assert wire.until_cut_off().startswith("HTTP/1.1 200 ")
