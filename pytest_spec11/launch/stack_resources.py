"""The resources of a stack: a copy of the database, a directory, processes, their values."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from pytest_spec11.addresses import Address, Values, address_of
from pytest_spec11.launch.processes import LOOK_EVERY_S, Running, Site, end, launch
from pytest_spec11.saboteurs.saboteur import ActiveSaboteurs
from pytest_spec11.target import PLACEHOLDER, Process, Target, fill_placeholders, placeholders
from pytest_spec11.waiting import eventually


class Parts:
    """One stack without oracles: database, directory, processes, values."""

    def __init__(self, target: Target, name: str, site: Site, values: Values) -> None:
        self.target = target
        self.name = name
        self.values: Values = dict(values)
        self.running: dict[str, Running] = {}
        self._site = site
        self._dir: Path | None = None
        self._database: tuple[str, str] | None = None
        self._planted = ""

    def start(self, everyone: Sequence[Process], begin: Collection[str]) -> None:
        """Copy the database and start the processes in ``begin``. Raises TargetFailed."""
        try:
            self._begin_fork_servers(process for process in everyone if process.name in begin)
            self._make_database()
            self._make_dir(everyone)
            for process in everyone:
                self.add(process)
            launch(
                [self.running[name] for name in self.running if name in begin],
                self.values,
                self._site,
            )
        except BaseException:
            self.stop()
            raise

    def add(self, process: Process) -> Running:
        """Add a process, not started. It replaces an ended process of the same name."""
        process = self._site.armed.process(process)
        log = self._site.logs / self.name / f"{process.name}.log"
        self.running[process.name] = running = Running(process, log, self._site)
        return running

    def fill_process(self, name: str) -> Process:
        """The process of that name with its placeholders filled in."""
        process = self.running[name].process
        command = tuple(fill_placeholders(part, self.values) for part in process.command)
        env = {key: fill_placeholders(value, self.values) for key, value in process.env.items()}
        return replace(process, command=command, env=env)

    def _begin_fork_servers(self, processes: Iterable[Process]) -> None:
        """Start fork servers early, so that they load while the database is copied."""
        if self._site.fork_servers is not None:
            self._site.fork_servers.begin(
                each.fork_server for each in processes if each.fork_server is not None
            )

    def _make_database(self) -> None:
        template = self.target.database
        if template is None:
            return
        from pytest_spec11.launch import databases  # noqa: PLC0415  # brings psycopg, which few need

        admin = fill_placeholders(template.admin_dsn, self.values)
        name = f"spec11_{self._site.run}_{self.name}".lower().replace("-", "_")
        self._database = (admin, name)
        if not placeholders([template.admin_dsn]):  # the server lives longer than the run
            self._site.reaper.tell("drop", admin, name)
        databases.copy(replace(template, admin_dsn=admin), name)
        self.values["database", "name"] = name
        if self.target.admin_dsn is not None:
            self._planted = fill_placeholders(self.target.admin_dsn, self.values)
            self._site.armed.plant_in_database(self._planted)

    def _make_dir(self, plan: Sequence[Process]) -> None:
        if any(("stack", "dir") in process.needs for process in plan):
            self._dir = Path(tempfile.mkdtemp(prefix="spec11-"))
            self._site.reaper.tell("dir", str(self._dir))
            self.values["stack", "dir"] = str(self._dir)
            self._site.armed.enter_directory(self._dir)

    @property
    def active_saboteurs(self) -> ActiveSaboteurs:
        """The faults between the stack and the prover."""
        return self._site.armed

    @property
    def address(self) -> Address:
        """Where it answers now; a restarted process may have another port."""
        pids = {name: each.pid for name, each in self.running.items() if each.was_started}
        logs = {name: each.log for name, each in self.running.items()}
        return address_of(self.target, self.values, pids, logs)

    def address_at(self, process: str) -> Address:
        """The address with the process of that name in place of the one that base_url names."""
        owners = {each.name for each in self.target.processes}
        base_url = rename_placeholders(self.target.base_url, owners, process)
        return replace(self.address, base_url=fill_placeholders(base_url, self.values))

    def relaunch(self, name: str) -> None:
        """Start the process of that name again and take the values of the new start."""
        running = self.running[name]
        running.spawn(self.values)
        found = eventually(
            running.readiness, deadline_s=running.process.deadline_s + 1, every_s=LOOK_EVERY_S
        )
        self.values.update({(name, key): each for key, each in found.items()})

    def stop(self, *, keep_database: bool = False) -> dict[str, int | None]:
        """Remove everything of the stack except its logs; return the exit codes by process."""
        with ExitStack() as steps:
            steps.callback(self._remove_dir)
            if not keep_database:
                steps.callback(self._drop_database)
            if self._planted:
                steps.callback(self._site.armed.leave_database, self._planted)
            return end(self.running.values())

    def _drop_database(self) -> None:
        if self._database is not None:
            from pytest_spec11.launch import databases  # noqa: PLC0415  # see _make_database

            databases.drop(*self._database)
            self._site.reaper.tell("gone", *self._database)
            self._database = None

    def _remove_dir(self) -> None:
        if self._dir is not None:
            shutil.rmtree(self._dir, ignore_errors=True)
            self._site.reaper.tell("gone", str(self._dir))
            self._dir = None


def rename_placeholders(text: str, owners: Collection[str], to: str) -> str:
    """``text`` with each placeholder of one of ``owners`` changed to name the process ``to``."""
    return PLACEHOLDER.sub(lambda hit: f"{{{to}.{hit[2]}}}" if hit[1] in owners else hit[0], text)
