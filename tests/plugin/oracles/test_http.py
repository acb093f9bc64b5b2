from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from hashlib import sha256

import httpx
import pytest
from typing_extensions import override

from pytest_spec11.errors import NotProvable
from pytest_spec11.oracles.http import Api, door
from tests.plugin.oracles.conftest import Notes


class Answer(http.server.BaseHTTPRequestHandler):
    """Says what it was asked; hangs up on /cut, redirects on /away."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/cut":
            self.close_connection = True
            return
        self._answer(302 if self.path == "/away" else 200, self.path.encode())

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length", 0))
        kind = self.headers.get("content-type", "none").encode()
        self._answer(409, kind + b" " + self.rfile.read(size))

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("location", "/elsewhere")
        self.send_header("set-cookie", "session=opensesame")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def api(base_url: str, notes: Notes) -> Api:
    return Api(door(base_url), notes)


def test_request_and_reply_are_on_record(api: Api, notes: Notes) -> None:
    reply = api.post("/orders", json={"what": "té"})

    sent = '{"what": "té"}'.encode()
    assert (reply.status, reply.body) == (409, b"application/json " + sent)
    seen = notes.last
    assert (seen.source, seen.ref, seen.empty) == ("api", "POST /orders", False)
    assert seen.body == reply.body
    assert seen.facts["requestSha256"] == sha256(sent).hexdigest()
    assert seen.facts["responseSha256"] == sha256(reply.body).hexdigest()
    assert seen.facts["status"] == 409
    assert seen.facts["responseBytes"] == len(reply.body)


def test_bytes_are_sent_as_they_are_and_redirects_are_not_followed(api: Api) -> None:
    assert api.request("POST", "/", content=b"{bad").text == "none {bad"
    assert api.request("POST", "/", content="{bad").text == "none {bad"
    assert api.get("/away").status == 302


def test_no_reply_is_on_record_and_raised(api: Api, notes: Notes) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        api.get("/cut")
    assert notes.last.empty
    assert notes.last.body is None
    assert notes.last.facts["error"].startswith("RemoteProtocolError: ")
    assert len(notes.seen) == 1  # no second try


def test_secrets_are_hidden(api: Api, notes: Notes) -> None:
    headers = {
        "Authorization": "Bearer opensesame",
        "Cookie": "a=opensesame",
        "X-Api-Key": "opensesame",
        "X-Signature": "opensesame",
        "X-Plain": "shown",
        "X-Dsn": "postgresql://u:opensesame@host/db",
    }
    api.get("/?token=opensesame&page=2&dsn=host%3Dx+password%3Dopensesame", headers=headers)
    assert "opensesame" not in repr((notes.last.ref, notes.last.facts))
    assert notes.last.facts["requestHeaders"]["x-plain"] == "shown"
    assert "page=2" in notes.last.facts["path"]


def test_headers_may_be_said_once_for_many_requests(api: Api, notes: Notes) -> None:
    other = api.using({"X-Plain": "ours", "X-More": "too"})

    other.get("/")
    usual = notes.last.facts["requestHeaders"]
    other.get("/", headers={"x-plain": "its own"})
    own = notes.last.facts["requestHeaders"]
    api.get("/")

    assert (usual["x-plain"], usual["x-more"]) == ("ours", "too")
    assert (own["x-plain"], own["x-more"]) == ("its own", "too")
    assert "x-plain" not in notes.last.facts["requestHeaders"]


def test_a_target_without_an_api_cannot_be_asked(notes: Notes) -> None:
    with pytest.raises(NotProvable, match="no base URL"):
        Api(None, notes).get("/")
    assert notes.seen == []


def test_many_threads_share_it(api: Api, notes: Notes) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(api.get(f"/{n}").text)) for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(f"/{n}" for n in range(20))
    assert sorted(each.ref for each in notes.seen) == sorted(f"GET /{n}" for n in range(20))
