"""The target in this pytest process: the run, the lease, the reaper, private stacks."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_spec11.addresses import attached_address
from pytest_spec11.launch.fork_servers import ForkServers
from pytest_spec11.launch.lease import Attached, Borrowed, Lease, Owned, Shelf
from pytest_spec11.launch.processes import Site
from pytest_spec11.launch.reaper import Reaper
from pytest_spec11.launch.timings import Timings
from pytest_spec11.options import Settings
from pytest_spec11.run import Run
from pytest_spec11.saboteurs.saboteur import ActiveSaboteurs
from pytest_spec11.target import Target, describe_attached

if TYPE_CHECKING:  # they import psycopg and httpx, which only a test that uses an oracle may load
    from pytest_spec11.oracles.access import Access
    from pytest_spec11.oracles.witness import Witness
    from pytest_spec11.stacks import Stacks


class Runtime:
    """Everything of the run that is not evidence. Each part starts at its first use."""

    def __init__(self, config: pytest.Config, settings: Settings, run: Run) -> None:
        self.config = config
        self.settings = settings
        self.run = run
        self.timings = Timings()
        self.reaper = Reaper()
        self._made = ExitStack()  # closes in reverse order, also if one close fails
        self._stacks: Stacks | None = None
        self._wanted: tuple[str, ...] = ()

    def arm(self, saboteurs: tuple[str, ...]) -> None:
        """Faults of these ids stand between target and prover, from before anything starts."""
        self._wanted = saboteurs

    @cached_property
    def target(self) -> Target:
        """The system under test. Raises pytest.UsageError when nobody describes one."""
        settings = self.settings
        if settings.is_attached:
            addresses = (settings.base_url, settings.app_dsn, settings.sys_dsn)
            return describe_attached(*addresses, settings.app_version, settings.identity)
        try:
            found = self.config.hook.pytest_spec11_target(config=self.config)
        except ValueError as error:
            raise pytest.UsageError(str(error)) from error
        if not isinstance(found, Target):
            raise pytest.UsageError(
                "no target: implement pytest_spec11_target(config) in the root conftest.py,"
                " or name a running system by --spec11-base-url, --spec11-app-dsn and so on"
            )
        return found

    @cached_property
    def shelf(self) -> Shelf:
        """Files through which the run's processes share addresses; only this account reads them."""
        place = Path(tempfile.gettempdir()) / f"spec11-lease-{self.run.nonce}"
        return Shelf(place, self.settings.start_s)

    @cached_property
    def site(self) -> Site:
        """Where the processes run that this process starts."""
        name = f"{self.run.short}_{self.run.role}"
        servers = self.fork_servers
        return Site(
            name, self._logs, self.reaper, armed=self.active_saboteurs, fork_servers=servers
        )

    @cached_property
    def fork_servers(self) -> ForkServers:
        """The fork servers of private stacks; each starts at its first use."""
        servers = ForkServers(self._logs, self.reaper)
        self._made.callback(servers.close)
        return servers

    def begin_fork_servers(self) -> None:
        """Start the fork servers of the target, so that they load while its services start."""
        named = (each.fork_server for each in self.target.processes)
        self.fork_servers.begin(each for each in named if each is not None)

    @property
    def _logs(self) -> Path:
        return self.run.path / "logs" / self.run.role

    @cached_property
    def active_saboteurs(self) -> ActiveSaboteurs:
        """The faults between target and prover. Raises pytest.UsageError for an unknown one."""
        wanted = self._wanted
        if not wanted:
            return ActiveSaboteurs()
        from pytest_spec11.saboteurs.registry import load_registry  # noqa: PLC0415  # few runs have one

        armed = ActiveSaboteurs(load_registry(self.config).select_saboteurs(wanted))
        self._made.callback(armed.close)
        return armed

    @cached_property
    def lease(self) -> Lease:
        """The one running target of the run."""
        if not self.run.borrows:
            self._made.callback(self.shelf.remove)
        lease = self._make_lease()
        self._made.callback(lease.close)
        return lease

    def _make_lease(self) -> Lease:
        settings = self.settings
        if settings.is_attached:
            given = attached_address(settings.base_url, settings.app_dsn, settings.sys_dsn)
            return Attached(given)
        if self.run.borrows:
            return Borrowed(self.shelf)
        self.reaper.tell("dir", str(self.shelf.path))
        return Owned(self.target, self.site, self.shelf, self.timings)

    @cached_property
    def access(self) -> Access:
        """Connections to the shared stack when all of it is ready. Raises TargetFailed."""
        from pytest_spec11.oracles.access import Access  # noqa: PLC0415  # see TYPE_CHECKING

        with self.timings.phase("wait for stack main"):
            access = Access(self.lease.main(), self.active_saboteurs)
        self._made.callback(access.close)
        return access

    def stacks(self, witness: Callable[[], Witness]) -> Stacks:
        """The one object that starts private stacks."""
        from pytest_spec11.stacks import Stacks  # noqa: PLC0415  # see TYPE_CHECKING

        if self._stacks is None:
            self._stacks = Stacks(self.target, self.lease.services, self.site, witness)
            self._made.callback(self._stacks.close)
        return self._stacks

    def close(self, *, keep_logs: bool) -> None:
        """End everything that this process started; remove its logs unless ``keep_logs``."""
        with ExitStack() as steps:  # in reverse order; each closes also if another one fails
            if not keep_logs:
                steps.callback(shutil.rmtree, self._logs, ignore_errors=True)
            steps.callback(self.reaper.close)
            steps.callback(self._made.close)
