"""One running target for the whole run: its owner starts and ends it, others borrow it.

The owner is the pytest process, or with xdist the controller. It starts the target in the
background when collection shows that a selected test needs something. It publishes addresses as
files of the run directory, and the xdist workers wait for these.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from pytest_spec11.addresses import Address, Values
from pytest_spec11.errors import NotObserved, NotProvable, TargetFailed
from pytest_spec11.launch.processes import Running, Site, end, launch
from pytest_spec11.launch.stack_resources import Parts
from pytest_spec11.launch.timings import Timings
from pytest_spec11.target import Target
from pytest_spec11.waiting import eventually

SERVICES: Final = "services"
MAIN: Final = "main"
_FAILED: Final = "failed"


class Lease(Protocol):
    """The target from the view of one pytest process."""

    def want(self, needs: frozenset[str]) -> None:
        """Begin to start these parts (``services``, ``main``) if this process is the owner."""
        ...

    def services(self) -> Values:
        """Values of the services' ready lines. Raises TargetFailed or NotProvable."""
        ...

    def main(self) -> Address:
        """The address of the shared stack, all of it ready. Raises TargetFailed."""
        ...

    def close(self) -> None:
        """End what this process started for the lease."""
        ...


@dataclass(frozen=True)
class Attached:
    """A system that somebody else started: an address, without control over its processes."""

    address: Address

    def want(self, needs: frozenset[str]) -> None:
        """Do nothing: the system runs already."""

    def services(self) -> Values:
        """Raise NotProvable: an attached system has no services."""
        raise NotProvable("needs processes of its own, and the target was started elsewhere")

    def main(self) -> Address:
        """The address that was given."""
        return self.address

    def close(self) -> None:
        """Do nothing: somebody else ends the system."""


class Owned:
    """The target that this process starts, in a thread of its own."""

    def __init__(self, target: Target, site: Site, shelf: Shelf, timings: Timings) -> None:
        self._target = target
        self._cancelled = threading.Event()
        # The shared stack starts by its own commands, without fork servers, as in production.
        self._site = replace(site, cancelled=self._cancelled.is_set, fork_servers=None)
        self._shelf = shelf
        self._timings = timings
        self._wanted: frozenset[str] = frozenset()
        self._threads: list[threading.Thread] = []
        self._begun = {
            each.name: Running(each, site.logs / SERVICES / f"{each.name}.log", self._site)
            for each in target.services
        }
        self._stack: Parts | None = None

    def want(self, needs: frozenset[str]) -> None:
        """Begin a start in the background if a test needs something new."""
        new = needs - self._wanted
        self._wanted |= needs
        if new:
            earlier = tuple(self._threads)
            thread = threading.Thread(target=self._run, args=(new, earlier), daemon=True)
            self._threads.append(thread)
            thread.start()

    def services(self) -> Values:
        """Values of the services' ready lines. Raises TargetFailed."""
        self.want(frozenset({SERVICES}))
        return self._shelf.services()

    def main(self) -> Address:
        """The address of the shared stack, all of it ready. Raises TargetFailed."""
        self.want(frozenset({SERVICES, MAIN}))
        return self._shelf.main()

    def close(self) -> None:
        """End the shared stack and the services; break off a start that is not finished."""
        self._cancelled.set()
        for thread in self._threads:
            thread.join()
        stack, self._stack = self._stack, None
        with self._timings.phase("stop"), ExitStack() as steps:
            steps.callback(self._end_services)
            if stack is not None:
                stack.stop(keep_database=bool(self._begun))

    def _end_services(self) -> None:
        end(self._begun.values())
        self._begun.clear()

    def _run(self, needs: frozenset[str], earlier: tuple[threading.Thread, ...]) -> None:
        for thread in earlier:
            thread.join()
        try:
            if SERVICES in needs:
                self._start_services()
            if MAIN in needs:
                self._start_main()
        except Exception as error:  # noqa: BLE001  # told to whoever waits; a thread has no caller
            self._shelf.put_failure(f"{error}")

    def _start_services(self) -> None:
        values: Values = {}
        with self._timings.phase("services"):
            launch(tuple(self._begun.values()), values, self._site)
        self._time(self._begun)
        self._shelf.put_services(values)

    def _start_main(self) -> None:
        self._stack = Parts(self._target, MAIN, self._site, self._shelf.services())
        with self._timings.phase("stack main"):
            names = {process.name for process in self._target.processes}
            self._stack.start(self._target.processes, names)
        self._time(self._stack.running)
        self._shelf.put_main(self._stack.address)

    def _time(self, running: Mapping[str, Running]) -> None:
        for name, each in running.items():
            self._timings.add(f"  {name} ready", each.started_at, each.ready_after_s)


@dataclass(frozen=True)
class Borrowed:
    """The target that the xdist controller starts, from the view of a worker."""

    shelf: Shelf

    def want(self, needs: frozenset[str]) -> None:
        """Publish the needs; the controller reads them when collection is over."""
        self.shelf.put_needs(needs)

    def services(self) -> Values:
        """Values of the services' ready lines. Raises TargetFailed."""
        return self.shelf.services()

    def main(self) -> Address:
        """The address of the shared stack, all of it ready. Raises TargetFailed."""
        return self.shelf.main()

    def close(self) -> None:
        """Do nothing: the controller owns the target."""


class Shelf:
    """A directory of files through which the owner publishes addresses to the other processes."""

    def __init__(self, path: Path, wait_s: float) -> None:
        self.path = path
        self._wait_s = wait_s

    def remove(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self.path, ignore_errors=True)

    def put_needs(self, needs: frozenset[str]) -> None:
        """Publish what the selected tests of one process need, in addition to earlier needs."""
        for need in needs:
            self._put(f"need-{need}", "")

    def needs(self) -> frozenset[str]:
        """What all processes need so far."""
        return frozenset(each.name.removeprefix("need-") for each in self.path.glob("need-*"))

    def put_services(self, values: Values) -> None:
        """Publish the values of the ready lines."""
        self._put(SERVICES, json.dumps([[*pair, value] for pair, value in values.items()]))

    def services(self) -> Values:
        """Wait for the values of the ready lines. Raises TargetFailed."""
        found = json.loads(self._get(SERVICES))
        return {(owner, name): value for owner, name, value in found}

    def put_main(self, address: Address) -> None:
        """Publish the address of the shared stack."""
        self._put(MAIN, address.dumps())

    def main(self) -> Address:
        """Wait for the address of the shared stack. Raises TargetFailed."""
        return Address.loads(self._get(MAIN))

    def put_orders(self, role: str, text: str) -> None:
        """What one worker is to do; it takes this away before it has any test."""
        self._put(f"orders-{role}", text)

    def take_orders(self, role: str) -> str:
        """What this worker is to do; empty when there is nothing."""
        place = self.path / f"orders-{role}"
        if not place.exists():
            return ""
        text = place.read_text()
        place.unlink()
        return text

    def put_failure(self, message: str) -> None:
        """Publish why the start failed."""
        self._put(_FAILED, message)

    def _put(self, name: str, text: str) -> None:
        self.path.mkdir(mode=0o700, exist_ok=True)
        unseen = self.path / f".{name}-{os.getpid()}"
        unseen.write_text(text)
        unseen.replace(self.path / name)

    def _get(self, name: str) -> str:
        try:
            return eventually(lambda: self._look(name), deadline_s=self._wait_s)
        except NotObserved as error:
            message = f"the target's {name} did not come up within {self._wait_s:g} s"
            raise TargetFailed(message) from error

    def _look(self, name: str) -> str | None:
        if (self.path / name).exists():
            return (self.path / name).read_text()
        if (self.path / _FAILED).exists():
            raise TargetFailed((self.path / _FAILED).read_text())
        return None
