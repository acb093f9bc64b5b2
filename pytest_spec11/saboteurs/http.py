"""Faults of the family ``http.*``: a proxy before the API that changes requests and replies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from typing_extensions import override

from pytest_spec11.addresses import Address
from pytest_spec11.saboteurs.proxy import Exchange, Proxy
from pytest_spec11.saboteurs.saboteur import Saboteur
from pytest_spec11.saboteurs.wire import Reply

ANY: Final = re.compile("")
STREAMS: Final = re.compile(r"/stream\b")


class HttpSaboteur(Saboteur):
    """A fault in replies or requests.

    Override :meth:`answer`; call ``self.hit()`` when the fault took effect. It gets only requests
    whose ``METHOD path`` matches ``where``. The proxy relays all others unchanged, also streams and
    every request of fixtures before the test itself begins.
    """

    where: re.Pattern[str] = ANY

    def __init__(self, id_: str, does: str, expected: Mapping[str, str] | None = None) -> None:
        super().__init__(id_, does, expected)
        self._proxies: dict[str, Proxy] = {}

    async def answer(self, exchange: Exchange) -> Reply:
        """The reply for the prover; ``await exchange.forward()`` is the target's reply."""
        return await exchange.forward()

    def wants(self, method: str, path: str) -> bool:
        """Whether :meth:`answer` gets such a request."""
        return (
            self.awake
            and self.where.search(f"{method} {path}") is not None
            and not STREAMS.search(path)
        )

    @override
    def route(self, address: Address) -> Address:
        """The proxy's address in place of the API's."""
        if not address.base_url:
            return address
        if address.base_url not in self._proxies:
            self._proxies[address.base_url] = Proxy(address, self.answer, self.wants)
        proxy = self._proxies[address.base_url]
        proxy.target = address  # the stack may have other processes now
        return replace(address, base_url=proxy.url)

    @override
    def close(self) -> None:
        """Close every proxy."""
        while self._proxies:
            self._proxies.popitem()[1].close()


class HttpTwin(HttpSaboteur):
    """The proxy without a fault: it parses every request and reply and relays it unchanged."""

    @override
    async def answer(self, exchange: Exchange) -> Reply:
        """The target's own reply."""
        self.hit()
        return await exchange.forward()
