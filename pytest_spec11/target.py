"""The system under test as data: processes, the services they need, a database, addresses.

Strings may hold placeholders. The prover fills each in when the thing that it names is up:
``{postgres.port}`` is the group ``port`` of the ready line of the process ``postgres``,
``{database.name}`` the database of this stack, ``{stack.dir}`` its private directory. Other braces
stay as they are.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

PLACEHOLDER: Final = re.compile(r"\{(\w[\w-]*)\.(\w+)\}")
READ_AT_START: Final = ("GLIBC_", "LANG", "LC_", "LD_", "MALLOC_", "PYTHON", "VIRTUAL_ENV")
GIVEN: Final = frozenset({("database", "name"), ("stack", "dir")})


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkServer:
    """A process that has loaded a program and starts the program by fork.

    The commands that it replaces begin with ``program``. ``env`` is the server's whole environment.
    A fork cannot have other values for what an interpreter or a loader reads at its start.
    docs/prover.md says what a server must answer.
    """

    command: tuple[str, ...]
    program: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    deadline_s: float = 60.0

    def serves(self, command: Sequence[str], env: Mapping[str, str]) -> bool:
        """Whether a fork of it equals a process started by ``command`` with ``env``."""
        at_start = {name for name in {*env, *self.env} if name.startswith(READ_AT_START)}
        return tuple(command[: len(self.program)]) == self.program and all(
            env.get(name) == self.env.get(name) for name in at_start
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A command, and the line of its output that says that it is ready.

    ``ready`` is a regular expression; placeholders can name its named groups. With ``ready=None``
    the process is a step: it must exit 0, and the processes listed after it wait for that. ``env``
    is the whole environment. To stop the process the prover sends ``stop_signal``, and after
    ``stop_s`` seconds SIGKILL. If ``fork_server`` serves the command, it starts the process in
    private stacks.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: str | None = None
    deadline_s: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_s: float = 15.0
    fork_server: ForkServer | None = None

    def using(self, env: Mapping[str, str], *, name: str = "") -> Process:
        """This process with ``env`` laid over its environment, under ``name`` when given."""
        return replace(self, name=name or self.name, env={**self.env, **env})

    @property
    def groups(self) -> frozenset[str]:
        """The names to which its ready line gives values."""
        return frozenset(re.compile(self.ready).groupindex) if self.ready else frozenset()

    @property
    def needs(self) -> frozenset[tuple[str, str]]:
        """Every placeholder of its command and environment, as (owner, name)."""
        return placeholders((*self.command, *self.env.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateDatabase:
    """The database that each stack copies. The role of ``admin_dsn`` may copy and drop it."""

    admin_dsn: str
    template: str
    strategy: Literal["file_copy", "wal_log"] = "file_copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """How a target tells its build: a route of its base URL, or a command, such as for an image.

    ``key`` names a value in an answer of JSON, with dots for deeper ones; without it the whole
    answer counts. What the target tells must be the commit or the version under test. Raises
    ValueError unless one of the two ways is given.
    """

    route: str = ""
    command: tuple[str, ...] = ()
    key: str = ""
    env: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.route) == bool(self.command):
            raise ValueError("an identity has a route or a command")
        if self.route and not self.route.startswith("/"):
            raise ValueError(f"the route {self.route!r} of an identity begins with no /")

    @classmethod
    def parse(cls, text: str) -> Identity:
        """The identity of a text such as ``/healthz#appVersion``. Raises ValueError."""
        route, _, key = text.partition("#")
        return cls(route=route, key=key)

    @property
    def text(self) -> str:
        """The way in words, for a record."""
        asked = self.route or " ".join(self.command)
        return f"{asked}#{self.key}" if self.key else asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A system under test. Services start once per run; a stack has a database and processes.

    The roles of ``app_dsn`` and ``sys_dsn`` may only read; tests use ``admin_dsn`` to plant faults
    in private stacks. ``posture`` is the system's configuration; the evidence records it.
    ``identity`` says how it tells its build; it must if it runs no code of the tree. Raises
    ValueError that names every fault of the description.
    """

    name: str
    services: tuple[Process, ...] = ()
    database: TemplateDatabase | None = None
    processes: tuple[Process, ...] = ()
    base_url: str = ""
    app_dsn: str = ""
    sys_dsn: str = ""
    admin_dsn: str | None = None
    app_version: str = ""
    posture: Mapping[str, str] = field(default_factory=dict)
    identity: Identity | None = None

    def __post_init__(self) -> None:
        if faults := tuple(_faults(self)):
            raise ValueError(f"target {self.name}: " + "; ".join(faults))

    def process(self, name: str) -> Process:
        """The process (not service) of that name. Raises KeyError."""
        return next(each for each in self.processes if each.name == name)

    @property
    def controllable(self) -> bool:
        """Whether the prover can start stacks of it; it cannot for an attached system."""
        return bool(self.processes)


def describe_attached(
    base_url: str, app_dsn: str, sys_dsn: str, app_version: str = "", identity: str = ""
) -> Target:
    """The target for a system that somebody else started; the caller states its version.

    ``identity`` says where the system tells its build. Raises ValueError if it is none.
    """
    return Target(
        name="attached",
        base_url=base_url,
        app_dsn=app_dsn,
        sys_dsn=sys_dsn,
        app_version=app_version,
        identity=Identity.parse(identity) if identity else None,
    )


def placeholders(texts: Iterable[str]) -> frozenset[tuple[str, str]]:
    """Every placeholder of ``texts``, as (owner, name)."""
    return frozenset(pair for text in texts for pair in PLACEHOLDER.findall(text))


def fill_placeholders(text: str, values: Mapping[tuple[str, str], str]) -> str:
    """``text`` with its placeholders replaced. Raises KeyError with the pair that has no value."""
    return PLACEHOLDER.sub(lambda match: values[match.group(1), match.group(2)], text)


def _faults(target: Target) -> Iterator[str]:
    everyone = (*target.services, *target.processes)
    names = [each.name for each in everyone]
    yield from (
        f"two processes named {name}" for name in sorted(set(names)) if names.count(name) > 1
    )
    known = set(GIVEN)
    for each in everyone:
        yield from (_unknown(each.name, pair) for pair in sorted(each.needs - known))
        known |= {(each.name, group) for group in each.groups}
    addresses = (target.base_url, target.app_dsn, target.sys_dsn, target.admin_dsn or "")
    admin = (target.database.admin_dsn,) if target.database else ()
    served = {(each.name, group) for each in target.services for group in each.groups}
    yield from (_unknown("an address", pair) for pair in sorted(placeholders(addresses) - known))
    yield from (_unknown("admin_dsn", pair) for pair in sorted(placeholders(admin) - served))


def _unknown(where: str, pair: tuple[str, str]) -> str:
    return f"{where} names {{{pair[0]}.{pair[1]}}}, which nothing earlier provides"
