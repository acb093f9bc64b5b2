"""The oracle of the HTTP API: one request, one reply, both recorded, no second try."""

from __future__ import annotations

import json as jsons
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx

from pytest_spec11.errors import NotProvable
from pytest_spec11.oracles.witness import Witness, fingerprint, hide_secrets, without_password
from pytest_spec11.waiting import Stopwatch

TIMEOUT_S: Final = 120.0  # longer than the longest poll of such an API, also on a busy machine
_NOTHING: Final = frozenset({b"", b"[]", b"null"})  # of which everything is true
_JSON: Final = {"content-type": "application/json"}
_NONE_KEPT: Final = httpx.Limits(max_connections=None, max_keepalive_connections=0)


@dataclass(frozen=True)
class Reply:
    """A reply: ``status``, ``headers`` (lower-case names) and ``body`` as sent.

    Compare a promised bound with ``own_s``: ``elapsed_s`` as a Stopwatch counts it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_s: float
    own_s: float

    @cached_property
    def text(self) -> str:
        """The body as UTF-8. Raises UnicodeDecodeError."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON, a new value at each call. Raises ValueError."""
        return jsons.loads(self.body)


class HttpConnection(threading.local):
    """HTTP clients for one base URL: each thread has a client of its own.

    It uses no proxies and no redirects, and a new connection for each request. Threads share no
    client, because a shared pool may give one thread a connection that another just closed as idle.
    That would look like an API that hangs up or never answers.
    """

    def __init__(self, base_url: str, tls: ssl.SSLContext) -> None:
        self.base_url = base_url
        self.client = httpx.Client(
            base_url=base_url, limits=_NONE_KEPT, timeout=TIMEOUT_S, trust_env=False, verify=tls
        )


def door(base_url: str) -> HttpConnection:
    """A connection to this base URL; it sends nothing yet."""
    secure = base_url.startswith("https:")
    # To read the certificates of the machine takes longer than most requests.
    tls = ssl.create_default_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return HttpConnection(base_url.rstrip("/"), tls)


class Api:
    """Requests to the system under test. Safe to use from many threads at once."""

    def __init__(
        self,
        door: HttpConnection | None,
        witness: Witness,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._door = door
        self._witness = witness
        self._headers = headers or {}

    def using(self, headers: Mapping[str, str]) -> Api:
        """The same oracle with ``headers`` on each request that does not set its own."""
        return Api(self._door, self._witness, {**self._headers, **headers})

    @property
    def base_url(self) -> str:
        """Where the API answers, without a slash at the end."""
        return self._open.base_url

    @property
    def _open(self) -> HttpConnection:
        if self._door is None:
            raise NotProvable("this target names no base URL: there is no API to ask")
        return self._door

    def get(self, path: str, **how: Any) -> Reply:
        """The reply to ``GET path``; see :meth:`request`."""
        return self.request("GET", path, **how)

    def post(self, path: str, json: object = None, **how: Any) -> Reply:
        """The reply to ``POST path``; see :meth:`request`."""
        return self.request("POST", path, json=json, **how)

    def request(  # noqa: PLR0913  # each is one part of a request
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        content: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Reply:
        """Send a request; return any reply. ``json`` is sent as JSON, ``content`` as it is.

        Raises httpx.HTTPError when there is no reply; the journal records that too.
        """
        sent = _payload(json, content)
        implied = _JSON if json is not None else {}
        given = {**self._headers, **(headers or {})}
        names = {**implied, **{name.lower(): each for name, each in given.items()}}
        request = self._open.client.build_request(
            method, path, content=sent, headers=names, timeout=timeout or TIMEOUT_S
        )
        return self._send_request(
            request, {"method": method, **_describe_request(path, sent, names)}
        )

    def _send_request(self, request: httpx.Request, asked: dict[str, Any]) -> Reply:
        begin, watch = time.perf_counter(), Stopwatch()
        ref = f"{asked['method']} {asked['path']}"
        try:
            answer = self._open.client.send(request)
        except httpx.HTTPError as error:
            facts = {**asked, "error": without_password(f"{type(error).__name__}: {error}")}
            self._witness("api", ref, facts, empty=True)
            raise
        took = time.perf_counter() - begin
        own_s = watch.own_s
        read = {
            "status": answer.status_code,
            "headers": dict(answer.headers),
            "body": answer.content,
        }
        reply = Reply(**self._witness.pass_on("api", ref, read), elapsed_s=took, own_s=own_s)
        nothing = reply.body.strip() in _NOTHING
        self._witness(
            "api", ref, {**asked, **_describe_reply(reply)}, body=reply.body, empty=nothing
        )
        return reply


def _payload(json: object, content: bytes | str | None) -> bytes | None:
    if json is not None:
        return jsons.dumps(json, ensure_ascii=False).encode()
    return content.encode() if isinstance(content, str) else content


def _describe_request(path: str, sent: bytes | None, headers: Mapping[str, str]) -> dict[str, Any]:
    body = sent or b""
    return {
        "path": _without_secrets(path),
        "requestHeaders": hide_secrets(headers.items()),
        "requestBytes": len(body),
        "requestSha256": fingerprint(body),
    }


def _describe_reply(reply: Reply) -> dict[str, Any]:
    return {
        "status": reply.status,
        "responseHeaders": hide_secrets(reply.headers.items()),
        "responseBytes": len(reply.body),
        "responseSha256": fingerprint(reply.body),
        "elapsedMs": round(reply.elapsed_s * 1000, 3),
    }


def _without_secrets(path: str) -> str:
    parts = urlsplit(path)
    if parts.query:
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        path = urlunsplit(parts._replace(query=urlencode(hide_secrets(pairs))))
    return without_password(path)
