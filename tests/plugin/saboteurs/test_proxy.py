"""The proxy between prover and target: what it does not lie about arrives as it was sent."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx
import pytest

from pytest_spec11.addresses import Address
from pytest_spec11.saboteurs.http import HttpSaboteur, HttpTwin
from pytest_spec11.waiting import GIVE_UP_S

Talk = Callable[[socket.socket], None]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"


def head_of(link: socket.socket) -> bytes:
    seen = b""
    while b"\r\n\r\n" not in seen:
        piece = link.recv(1)
        if not piece:
            break
        seen += piece
    return seen


class Server:
    """A target that talks as the test says, on each connection."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._pool = ThreadPoolExecutor(128)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            self._pool.submit(self._serve, link)

    def _serve(self, link: socket.socket) -> None:
        with link:
            self._talk(link)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._pool.shutdown()
        self._thread.join()


@pytest.fixture
def behind() -> Iterator[Callable[[HttpSaboteur, Talk], str]]:
    """Where to dial for a target that talks so, behind a saboteur."""
    servers: list[Server] = []
    saboteurs: list[HttpSaboteur] = []

    def place(saboteur: HttpSaboteur, talk: Talk) -> str:
        servers.append(Server(talk))
        saboteurs.append(saboteur)
        return saboteur.route(Address(base_url=servers[-1].url)).base_url

    yield place
    for saboteur in saboteurs:
        saboteur.close()
    for server in servers:
        server.close()


def both() -> list[HttpSaboteur]:
    """One that takes every message apart, and one that is asleep."""
    asleep = HttpSaboteur("http.asleep", "")
    asleep.awake = False
    return [HttpTwin("http.none", ""), asleep]


@pytest.mark.parametrize("saboteur", both(), ids=["apart", "relayed"])
def test_a_body_in_chunks_arrives_whole_and_the_next_request_does(
    behind: Callable[..., str], saboteur: HttpSaboteur
) -> None:
    def talk(link: socket.socket) -> None:
        asked = head_of(link)
        link.recv(int(asked.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))
        link.sendall(
            HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
        )

    url = behind(saboteur, talk)
    with httpx.Client(trust_env=False) as client:
        replies = [client.post(f"{url}/a?b=c", content=b"body") for _ in range(2)]

    assert [(each.status_code, each.text) for each in replies] == [(200, "abcde")] * 2


def test_what_is_relayed_arrives_as_it_comes(behind: Callable[..., str]) -> None:
    more = threading.Event()

    def talk(link: socket.socket) -> None:
        head_of(link)
        link.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        more.wait(GIVE_UP_S)
        link.sendall(b"3\r\ntwo\r\n0\r\n\r\n")

    url = behind(HttpTwin("http.none", ""), talk)
    with httpx.stream("GET", f"{url}/stream/words", trust_env=False) as reply:
        pieces = reply.iter_text()
        assert next(pieces) == "one"  # while the other half is not there yet
        more.set()
        assert "".join(pieces) == "two"


@pytest.mark.parametrize("saboteur", both(), ids=["apart", "relayed"])
def test_a_refusal_that_comes_before_the_body_was_sent_is_heard(
    behind: Callable[..., str], saboteur: HttpSaboteur
) -> None:
    def talk(link: socket.socket) -> None:
        head_of(link)
        link.sendall(b"HTTP/1.1 400 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno")

    url = behind(saboteur, talk)
    for _ in range(5):
        reply = httpx.post(url, content=b" " * 3_000_000, trust_env=False)
        assert (reply.status_code, reply.text) == (400, "no")


def test_a_target_that_hangs_up_or_is_gone_is_no_answer(behind: Callable[..., str]) -> None:
    url = behind(HttpTwin("http.none", ""), lambda link: head_of(link) and None)
    with pytest.raises(httpx.HTTPError):
        httpx.get(url, trust_env=False)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    twin = HttpTwin("http.none", "")
    gone = twin.route(Address(base_url=f"http://127.0.0.1:{port}")).base_url
    with pytest.raises(httpx.HTTPError):
        httpx.get(gone, trust_env=False)
    twin.close()


def test_a_hundred_wait_at_once_and_one_that_goes_is_let_go(behind: Callable[..., str]) -> None:
    met, left = threading.Barrier(101), threading.Event()

    def talk(link: socket.socket) -> None:
        asked = head_of(link)
        if b"/leave" in asked:
            link.recv(1)  # returns when the other side is gone
            left.set()
            return
        met.wait(GIVE_UP_S)
        link.sendall(HEAD + b"content-length: 2\r\n\r\nok")

    twin = HttpTwin("http.none", "")
    url = behind(twin, talk)
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{url}/leave", timeout=0.5, trust_env=False)
    assert left.wait(GIVE_UP_S)
    with ThreadPoolExecutor(100) as pool:
        asks = [pool.submit(httpx.get, url, timeout=GIVE_UP_S, trust_env=False) for _ in range(100)]
        met.wait(GIVE_UP_S)
        assert {ask.result().text for ask in asks} == {"ok"}
    assert twin.count_hits() == 101


@pytest.mark.parametrize("saboteur", both(), ids=["apart", "relayed"])
def test_a_connection_is_not_taken_for_the_one_that_had_its_number(
    behind: Callable[..., str], saboteur: HttpSaboteur
) -> None:
    def talk(link: socket.socket) -> None:
        head_of(link)
        link.sendall(HEAD + b"content-length: 2\r\n\r\nok")
        link.recv(1)  # the other side ends it, so that it is still listened to at its end

    place = urlsplit(behind(saboteur, talk)).netloc

    def ask_status(_: int) -> int:
        link = HTTPConnection(place, timeout=GIVE_UP_S)
        with closing(link):
            link.request("GET", "/")
            return link.getresponse().status

    with ThreadPoolExecutor(24) as pool:
        assert Counter(pool.map(ask_status, range(1500))) == {200: 1500}
