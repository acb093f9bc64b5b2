"""The settings of the engine. Config reads the environment once and is passed on as a value.

``groups`` has the settings by topic, ``readers`` how the text of one is read. Imports what stands
below it in the layers: stores, ports, the core.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import combinations
from pathlib import Path
from typing import Any, Self

from engine.config.groups import (
    Access,
    Agents,
    Database,
    Folders,
    Http,
    IntentQueue,
    Release,
    Runtime,
    Sandboxes,
    TaskQueue,
    Timing,
    Tracing,
)
from engine.core import queues
from engine.core.doors import is_loopback
from engine.core.queues import Limits
from engine.errors import Misconfigured
from engine.ports.keys import Keys
from engine.store.dsn import normalise_dsn, password


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All that the environment may decide, by topic (D33)."""

    database: Database = field(default_factory=Database)
    folders: Folders = field(default_factory=Folders)
    http: Http = field(default_factory=Http)
    access: Access = field(default_factory=Access)
    release: Release = field(default_factory=Release)
    runtime: Runtime = field(default_factory=Runtime)
    agents: Agents = field(default_factory=Agents)
    sandboxes: Sandboxes = field(default_factory=Sandboxes)
    intents: IntentQueue = field(default_factory=IntentQueue)
    tasks: TaskQueue = field(default_factory=TaskQueue)
    timing: Timing = field(default_factory=Timing)
    tracing: Tracing = field(default_factory=Tracing)

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """The only reader of the environment; an empty value is the default.

        Raises Misconfigured with one message that names every variable at fault (D33, D35).
        """
        faults: list[str] = []
        config = cls(
            **{each.name: _read_group(each.default_factory, env, faults) for each in fields(cls)}
        )
        if faults := [*faults, *_find_contradictions(config)]:
            raise Misconfigured("; ".join(faults))
        return config

    def secrets(self) -> frozenset[str]:
        """What nobody may be told: the keys that are valid now, passwords in connection strings."""
        given = [
            (getattr(group, item.name), item)
            for group in (getattr(self, each.name) for each in fields(self))
            for item in fields(group)
            if item.metadata["secret"]
        ]
        return frozenset(
            secret
            for value, item in given
            if value is not None
            for secret in _find_secrets(value, is_dsn=item.metadata["read"] is normalise_dsn)
        )

    @property
    def limits(self) -> dict[str, Limits]:
        """What each queue lets start at once; those that are not named have no limit."""
        return {queues.INTENT: self.intents.limits, queues.TASKS: self.tasks.limits}

    @property
    def record_dir(self) -> Path:
        """Where recorded answers of agents go, and nowhere else."""
        return self.agents.record_dir or self.folders.data / "oc-recorded"


def environment(changes: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that we start: ours with ``changes``."""
    return {**os.environ, **changes}


def _read_group(group: Any, env: Mapping[str, str], faults: list[str]) -> Any:
    """One group of settings from the environment. What cannot be read is added to ``faults``."""
    values: dict[str, Any] = {}
    for item in fields(group):
        name, read = item.metadata["name"], item.metadata["read"]
        if given := env.get(name):
            try:
                values[item.name] = read(given)
            except ValueError as error:
                shown = name if item.metadata["secret"] else f"{name}={given!r}"
                faults.append(f"{shown} is {error}")
    return group(**values)


def _find_secrets(given: Keys | str, *, is_dsn: bool) -> Iterator[str]:
    """The secrets of one setting: a door's keys, one key, or a connection string's password."""
    if isinstance(given, str):
        yield from filter(None, [password(given) if is_dsn else given])
    else:
        yield from (key.decode() for key in given.now())


def _find_contradictions(config: Config) -> Iterator[str]:
    """Every pair of settings that cannot both be meant."""
    database, agents, sandboxes = config.database, config.agents, config.sandboxes
    for name, given in (("SPEC11_APP_DSN", database.app_dsn), ("SPEC11_SYS_DSN", database.sys_dsn)):
        if given is not None and given != database.dsn:
            yield f"{name} differs from SPEC11_DSN: one transaction spans both schemas (D6)"
    if config.access.operator_tokens is None and not is_loopback(config.http.host):
        yield f"SPEC11_HOST={config.http.host!r} is not loopback and needs SPEC11_API_TOKEN (D36)"
    yield from _find_shared_keys(config.access)
    if agents.fixtures_only and agents.fixtures_dir is None:
        yield "OC_FIXTURES_ONLY needs OC_FIXTURES_DIR (D34)"
    yield from _find_limits_of_nothing(config.intents)
    yield from _find_limits_of_nothing(config.tasks)
    is_alternative = sandboxes.mode == "live" and sandboxes.provider != "e2b"
    if is_alternative and not sandboxes.allows_alternative:
        yield f"SBX_PROVIDER={sandboxes.provider!r} needs SBX_ALT_PROVIDER_ENABLED=true (D35)"
    if config.tracing.otlp and not (config.tracing.traces and config.tracing.logs):
        yield (
            "DBOS_ENABLE_OTLP needs OTEL_EXPORTER_OTLP_TRACES_ENDPOINT "
            "and OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"
        )


def _find_limits_of_nothing(queue: IntentQueue | TaskQueue) -> Iterator[str]:
    """Limits of one partition, on a queue that has no partitions."""
    for item in fields(queue):
        name, _, limit = item.metadata["name"].partition("_QUEUE_PARTITION_")
        if limit and not queue.partitioned and getattr(queue, item.name) is not None:
            yield f"{item.metadata['name']} needs {name}_QUEUE_PARTITION=true (D28)"


def _find_shared_keys(access: Access) -> Iterator[str]:
    """Keys of two roles that are the same: one key cannot say two things of who has it."""
    known = {
        item.metadata["name"]: {*given.now()}
        for item in fields(access)
        if (given := getattr(access, item.name)) is not None
    }
    for one, other in combinations(known, 2):
        if known[one] & known[other]:
            yield f"{one} and {other} share a key (D36)"
