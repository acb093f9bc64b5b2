"""Access to one stack: all tests share its connections, and each test has its own oracles."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property

from pytest_spec11.addresses import Address
from pytest_spec11.oracles.browser import Browser, BrowserDoor
from pytest_spec11.oracles.http import Api, HttpConnection, door
from pytest_spec11.oracles.proc import Proc
from pytest_spec11.oracles.sql import Sql, SqlDoor
from pytest_spec11.oracles.witness import Witness
from pytest_spec11.saboteurs.saboteur import ActiveSaboteurs


class Access:
    """Connections to one address, opened at first use. Each oracle reports to one witness."""

    def __init__(self, address: Address, armed: ActiveSaboteurs) -> None:
        self.address = address
        self._armed = armed
        self._opened = ExitStack()

    @cached_property
    def _http(self) -> HttpConnection | None:
        base_url = self._armed.route(self.address).base_url
        return door(base_url) if base_url else None

    @cached_property
    def _pages(self) -> BrowserDoor | None:
        base_url = self._armed.route(self.address).base_url
        if not base_url:
            return None
        opened = BrowserDoor(base_url)
        self._opened.callback(opened.close)
        return opened

    @cached_property
    def _app(self) -> SqlDoor | None:
        return self._open("sql:app", self.address.app_dsn)

    @cached_property
    def _sys(self) -> SqlDoor | None:
        return self._open("sql:sys", self.address.sys_dsn)

    def _open(self, source: str, dsn: str) -> SqlDoor | None:
        if not dsn:
            return None
        opened = SqlDoor(source, dsn)
        self._opened.callback(opened.close)
        return opened

    def api(self, witness: Witness) -> Api:
        """Requests to the base URL."""
        return Api(self._http, witness)

    def browser(self, witness: Witness) -> Browser:
        """Pages of the base URL."""
        return Browser(self._pages, witness)

    def app_sql(self, witness: Witness) -> Sql:
        """Oracle of schema app."""
        return Sql(self._app, "sql:app", witness)

    def sys_sql(self, witness: Witness) -> Sql:
        """Oracle of schema dbos."""
        return Sql(self._sys, "sql:sys", witness)

    def proc(self, witness: Witness) -> Proc:
        """Oracle of the processes of the address."""
        return Proc(self.address.pids, witness, self._armed)

    def close(self) -> None:
        """Close every open connection."""
        self._opened.close()
