"""Clients that start runs and answer gates, and repeat each request without an answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import Any

import httpx

from pytest_spec11.waiting import GIVE_UP_S, eventually
from scenarios.support.contract.headers import TERMINAL
from scenarios.support.contract.start_requests import reply, start

ANSWERED = frozenset({200, 201})
PATIENCE_S = 120.0
LOOK_S = 0.1


class Load:
    """Several clients, each with one run at a time. Their replies are not evidence."""

    def __init__(self, base_url: Callable[[], str], goal: str, clients: int) -> None:
        self._base_url = base_url
        self._goal = goal
        self._clients = clients
        self._numbers = count()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._asking = 0
        self._ended = 0
        self._pool = ThreadPoolExecutor(clients)
        self._running: list[Future[None]] = []
        self.wids: list[str] = []

    @property
    def in_flight(self) -> int:
        """The number of requests without an answer."""
        return self._asking

    def begin(self) -> None:
        """Start all clients."""
        self._running = [self._pool.submit(self._live) for _ in range(self._clients)]

    def moves(self) -> None:
        """Wait until one more run has ended. Raises NotObserved, or what a client raised."""
        before = self._ended
        eventually(lambda: self._ended > before or self._has_failed(), deadline_s=PATIENCE_S)

    def _has_failed(self) -> bool:
        for client in self._running:
            if client.done():
                client.result()
        return False

    def end(self) -> None:
        """Let every client finish its run. Raises what a client raised."""
        self._over.set()
        for client in self._running:
            client.result()
        self._pool.shutdown()

    def _live(self) -> None:
        with httpx.Client(timeout=GIVE_UP_S) as http:
            while not self._over.is_set():
                self._one(http, f"{self._goal} {next(self._numbers)}")
                self._ended += 1

    def _one(self, http: httpx.Client, goal: str) -> None:
        wid = str(self._ask_until_answered(http, "POST", "/api/run", start(goal))["workflowID"])
        self.wids.append(wid)
        eventually(
            lambda: self._push_run(http, wid) in TERMINAL, deadline_s=PATIENCE_S, every_s=LOOK_S
        )

    def _push_run(self, http: httpx.Client, wid: str) -> str:
        status = str(self._ask_until_answered(http, "GET", f"/api/runs/{wid}")["status"])
        if status == "WAITING_INPUT":
            for gate in self._ask_until_answered(http, "GET", f"/api/runs/{wid}/gates"):
                path = f"/api/runs/{wid}/gates/{gate['gateKey']}/reply"
                self._ask_until_answered(http, "POST", path, reply())
        return status

    def _ask_until_answered(
        self, http: httpx.Client, method: str, path: str, body: Any = None
    ) -> Any:
        """Repeat the request until the answer is not a server error; return its body."""

        def answer() -> httpx.Response | None:
            self._count(1)
            try:
                got = http.request(method, self._base_url() + path, json=body)
            except httpx.HTTPError:
                return None
            finally:
                self._count(-1)
            return None if got.status_code >= httpx.codes.INTERNAL_SERVER_ERROR else got

        got = eventually(answer, deadline_s=PATIENCE_S, every_s=LOOK_S)
        if got.status_code not in ANSWERED:
            raise AssertionError(f"{method} {path}: {got.status_code} {got.text}")
        return got.json()

    def _count(self, by: int) -> None:
        with self._lock:
            self._asking += by
