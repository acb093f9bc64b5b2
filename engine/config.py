"""The engine's settings: read from the environment once, here, and passed on as a value."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import combinations
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from engine import crash_points
from engine.core import queues
from engine.core.doors import is_loopback
from engine.core.queues import Limits, Rate
from engine.errors import Misconfigured
from engine.ports.keys import Keys, keys
from engine.ports.sbx.settings import Settings
from engine.ports.supervisor import cage
from engine.store.dsn import normalise_dsn, password

Read = Callable[[str], Any]
NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,40}")
OPENCODE: Final = "http://127.0.0.1:4096"  # where `opencode serve` listens when nobody says
SIGNOFF_DIR: Final = Path(".spec11")  # where the gate writes when nobody says
WORDS: Final = {"true": True, "1": True, "false": False, "0": False}


def _integer(low: int, high: int) -> Read:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal()):
            raise ValueError(f"not a whole number within {low}..{high}")
        if not low <= (value := int(text)) <= high:
            raise ValueError(f"not within {low}..{high}")
        return value

    return read


def _one_of(*words: str) -> Read:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"not one of {', '.join(words)}")
        return text

    return read


def _truth(text: str) -> bool:
    if text.lower() not in WORDS:
        raise ValueError("not one of true, false, 1, 0")
    return WORDS[text.lower()]


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError("not 1..40 letters, digits or . _ -")
    return text


def _http_url(text: str) -> str:
    found = urlsplit(text)
    if found.scheme not in {"http", "https"} or not found.hostname or found.query or found.fragment:
        raise ValueError("not http://HOST:PORT")
    return text.rstrip("/")


def _directory(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _setting(name: str, default: Any, read: Read = str, *, secret: bool = False) -> Any:
    kept = {"name": name, "read": read, "secret": secret}
    return field(default=default, repr=not secret, metadata=kept)


def _counts_waiting(text: str) -> None:
    del text
    raise ValueError("no limit that can be kept: runs that wait for people would count (D11)")


SLOTS: Final = _integer(1, 1000)
STARTS: Final = _integer(1, 1_000_000)
PERIOD_S: Final = _integer(1, 86_400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All that the environment may decide: one field is one variable of docs/contract.md."""

    dsn: str | None = _setting("SPEC11_DSN", None, normalise_dsn, secret=True)
    app_dsn: str | None = _setting("SPEC11_APP_DSN", None, normalise_dsn, secret=True)
    sys_dsn: str | None = _setting("SPEC11_SYS_DSN", None, normalise_dsn, secret=True)
    data_dir: Path | None = _setting("SPEC11_DATA_DIR", None, _directory)  # noqa: RUF009  # a field
    workspace_dir: Path | None = _setting("SPEC11_WORKSPACE", None, _directory)  # noqa: RUF009  # a field
    load_dir: Path | None = _setting("SPEC11_LOAD_DIR", None, _directory)  # noqa: RUF009  # a field
    data_home: Path | None = _setting("XDG_DATA_HOME", None, _directory)  # noqa: RUF009  # a field
    cache_home: Path | None = _setting("XDG_CACHE_HOME", None, _directory)  # noqa: RUF009  # a field
    host: str = _setting("SPEC11_HOST", "127.0.0.1")
    operator_tokens: Keys | None = _setting("SPEC11_API_TOKEN", None, keys, secret=True)  # noqa: RUF009  # a field
    reader_tokens: Keys | None = _setting("SPEC11_READER_TOKEN", None, keys, secret=True)  # noqa: RUF009  # a field
    webhook_tokens: Keys | None = _setting("SPEC11_WEBHOOK_TOKEN", None, keys, secret=True)  # noqa: RUF009  # a field
    webhook_secrets: Keys | None = _setting("SPEC11_WEBHOOK_SECRET", None, keys, secret=True)  # noqa: RUF009  # a field
    signoff_dir: Path = _setting("SPEC11_SIGNOFF_DIR", SIGNOFF_DIR, _directory)  # noqa: RUF009  # a field
    signoff_commit: str | None = _setting("SIGNOFF_COMMIT", None)
    signoff_tree: str | None = _setting("SIGNOFF_TREE", None)
    max_connections: int = _setting("SPEC11_MAX_CONNECTIONS", 2000, _integer(16, 65536))
    database_timeout_ms: int = _setting("SPEC11_DATABASE_TIMEOUT_MS", 4000, _integer(100, 600_000))
    port: int = _setting("PORT", 3001, _integer(0, 65535))
    admin_port: int = _setting("ADMIN_PORT", 3002, _integer(0, 65535))
    app_version: str = _setting("DBOS__APPVERSION", "v1")
    executor_id: str = _setting("DBOS__VMID", "w0", _name)
    claim_scope: str = _setting("CLAIM_SCOPE", "demo", _one_of("demo", "signoff", "live-smoke"))
    runtime_mode: str = _setting("WORKFLOW_RUNTIME_MODE", "api-shim", _one_of("api-shim"))
    oc_mode: str = _setting("OC_MODE", "replay", _one_of("replay", "record", "live"))
    oc_strict_mode: bool = _setting("OC_STRICT_MODE", default=True, read=_truth)
    oc_base_url: str = _setting("OC_BASE_URL", OPENCODE, _http_url, secret=True)
    oc_timeout_ms: int = _setting("OC_TIMEOUT_MS", 300_000, _integer(1, 2**31 - 1))
    oc_fixtures_dir: Path | None = _setting("OC_FIXTURES_DIR", None, _directory)  # noqa: RUF009  # a field
    oc_fixtures_only: bool = _setting("OC_FIXTURES_ONLY", default=False, read=_truth)
    oc_record_dir: Path | None = _setting("OC_RECORD_DIR", None, _directory)  # noqa: RUF009  # a field
    sbx_mode: str = _setting("SBX_MODE", "mock", _one_of("mock", "live"))
    sbx_provider: str = _setting("SBX_PROVIDER", "e2b", _one_of("e2b", "microsandbox", "local"))
    sbx_alt_provider_enabled: bool = _setting(
        "SBX_ALT_PROVIDER_ENABLED", default=False, read=_truth
    )
    sbx_default_timeout_ms: int = _setting(
        "SBX_DEFAULT_TIMEOUT_MS", 300_000, _integer(1, 2**31 - 1)
    )
    sbx_default_net: bool = _setting("SBX_DEFAULT_NET", default=False, read=_truth)
    sbx_local_cpu_s: int = _setting("SBX_LOCAL_CPU_S", 300, _integer(1, 86_400))
    sbx_memory_mb: int = _setting("SBX_MEMORY_MB", 512, _integer(16, 1_048_576))
    sbx_local_file_mb: int = _setting("SBX_LOCAL_FILE_MB", 64, _integer(1, 1_048_576))
    sbx_local_processes: int = _setting("SBX_LOCAL_PROCESSES", 128, _integer(1, 65_536))
    sbx_local_dir: Path | None = _setting("SBX_LOCAL_DIR", None, _directory)  # noqa: RUF009  # a field
    sbx_local_shared_dir: Path | None = _setting("SBX_LOCAL_SHARED_DIR", None, _directory)  # noqa: RUF009  # a field
    e2b_api_key: str | None = _setting("E2B_API_KEY", None, secret=True)
    e2b_template: str | None = _setting("E2B_TEMPLATE", None)
    microsandbox_image: str = _setting("MICROSANDBOX_IMAGE", "alpine")
    intent_queue_partition: bool = _setting("INTENT_QUEUE_PARTITION", default=True, read=_truth)
    intent_queue_at_once: int = _setting("INTENT_QUEUE_WORKER_CONCURRENCY", 16, SLOTS)
    intent_queue_of_one: int | None = _setting(
        "INTENT_QUEUE_PARTITION_WORKER_CONCURRENCY", None, SLOTS
    )
    intent_queue_everywhere: None = _setting("INTENT_QUEUE_CONCURRENCY", None, _counts_waiting)
    intent_queue_rate: int | None = _setting("INTENT_QUEUE_RATE_LIMIT_PER_PERIOD", None, STARTS)
    intent_queue_rate_of_one: int | None = _setting(
        "INTENT_QUEUE_PARTITION_RATE_LIMIT_PER_PERIOD", None, STARTS
    )
    intent_queue_period_s: int = _setting("INTENT_QUEUE_RATE_LIMIT_PERIOD_SEC", 60, PERIOD_S)
    sbx_queue_partition: bool = _setting("SBX_QUEUE_PARTITION", default=True, read=_truth)
    sbx_queue_at_once: int = _setting("SBX_QUEUE_WORKER_CONCURRENCY", 8, SLOTS)
    sbx_queue_of_one: int | None = _setting("SBX_QUEUE_PARTITION_WORKER_CONCURRENCY", None, SLOTS)
    sbx_queue_everywhere: int | None = _setting("SBX_QUEUE_CONCURRENCY", None, SLOTS)
    sbx_queue_of_one_everywhere: int | None = _setting(
        "SBX_QUEUE_PARTITION_CONCURRENCY", None, SLOTS
    )
    sbx_queue_rate: int | None = _setting("SBX_QUEUE_RATE_LIMIT_PER_PERIOD", None, STARTS)
    sbx_queue_rate_of_one: int | None = _setting(
        "SBX_QUEUE_PARTITION_RATE_LIMIT_PER_PERIOD", None, STARTS
    )
    sbx_queue_period_s: int = _setting("SBX_QUEUE_RATE_LIMIT_PERIOD_SEC", 60, PERIOD_S)
    gate_ttl_s: int = _setting("HITL_PLAN_APPROVAL_TIMEOUT_S", 3600, _integer(1, 86_400))
    wf_sleep_ms: int = _setting("WF_SLEEP_MS", 5000, _integer(0, 600_000))
    tick_s: int = _setting("SPEC11_TICK_S", 0, _integer(0, 59))
    chaos_sleep_execute_ms: int = _setting("CHAOS_SLEEP_EXECUTE", 0, _integer(0, 600_000))
    crash_at: tuple[str, int] | None = _setting("SPEC11_CRASH_AT", None, crash_points.parse_point)
    otlp: bool = _setting("DBOS_ENABLE_OTLP", default=False, read=_truth)
    otlp_traces: str | None = _setting("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", None)
    otlp_logs: str | None = _setting("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", None)

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """The only reader of the environment; an empty value is the default.

        Raises Misconfigured with one message that names every variable at fault (D33, D35).
        """
        values: dict[str, Any] = {}
        faults: list[str] = []
        for item in fields(cls):
            name, read = item.metadata["name"], item.metadata["read"]
            if given := env.get(name):
                try:
                    values[item.name] = read(given)
                except ValueError as error:
                    shown = name if item.metadata["secret"] else f"{name}={given!r}"
                    faults.append(f"{shown} is {error}")
        config = cls(**values)
        if faults := [*faults, *_contradictions(config)]:
            raise Misconfigured("; ".join(faults))
        return config

    def secrets(self) -> frozenset[str]:
        """What nobody may be told: the keys that are valid now, passwords in connection strings."""
        given = [
            (getattr(self, item.name), item) for item in fields(self) if item.metadata["secret"]
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
        return {
            queues.INTENT: Limits(
                partitioned=self.intent_queue_partition,
                at_once=self.intent_queue_at_once,
                of_one=self.intent_queue_of_one,
                rate=_rate(self.intent_queue_rate, self.intent_queue_period_s),
                rate_of_one=_rate(self.intent_queue_rate_of_one, self.intent_queue_period_s),
            ),
            queues.TASKS: Limits(
                partitioned=self.sbx_queue_partition,
                at_once=self.sbx_queue_at_once,
                of_one=self.sbx_queue_of_one,
                everywhere=self.sbx_queue_everywhere,
                of_one_everywhere=self.sbx_queue_of_one_everywhere,
                rate=_rate(self.sbx_queue_rate, self.sbx_queue_period_s),
                rate_of_one=_rate(self.sbx_queue_rate_of_one, self.sbx_queue_period_s),
            ),
        }

    @property
    def data(self) -> Path:
        """Where the embedded server keeps its files."""
        return self.data_dir or _home(self.data_home, Path(".local/share"), Path("/var/lib"))

    @property
    def workspace(self) -> Path:
        """The directory below whose ``.tmp`` patches are written; one for all workers."""
        return self.workspace_dir or self.data / "workspace"

    @property
    def oc_record(self) -> Path:
        """Where recorded answers go, and nowhere else."""
        return self.oc_record_dir or self.data / "oc-recorded"

    @property
    def load_results(self) -> Path:
        """Where load lanes leave what they measured."""
        return self.load_dir or self.data / "load"

    @property
    def names_signoff(self) -> bool:
        """Whether somebody said where the sign-off lies: then there has to be one."""
        return self.signoff_dir != SIGNOFF_DIR

    @property
    def sandbox(self) -> Settings:
        """What concerns sandboxes."""
        limits = cage.Limits(
            wall_ms=self.sbx_default_timeout_ms,
            cpu_s=self.sbx_local_cpu_s,
            memory_mb=self.sbx_memory_mb,
            file_mb=self.sbx_local_file_mb,
            processes=self.sbx_local_processes,
        )
        return Settings(
            mode=self.sbx_mode,
            provider=self.sbx_provider,
            limits=limits,
            net=self.sbx_default_net,
            base=self.sbx_local_dir,
            shared=self.sbx_local_shared_dir,
            e2b_key=self.e2b_api_key,
            e2b_template=self.e2b_template,
            microsandbox_image=self.microsandbox_image,
            pause_ms=self.chaos_sleep_execute_ms,
        )

    @property
    def cache(self) -> Path:
        """Where what can be made again is kept."""
        return _home(self.cache_home, Path(".cache"), Path("/var/cache"))


def environment(changes: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that we start: ours with ``changes``."""
    return {**os.environ, **changes}


def _rate(starts: int | None, period_s: int) -> Rate | None:
    return None if starts is None else Rate(starts=starts, period_s=period_s)


def _home(named: Path | None, below_home: Path, of_root: Path) -> Path:
    """The user's directory of one kind. Root's are the system's: the server runs as another."""
    if os.geteuid() == 0:
        return of_root / "spec11"
    return (named or Path.home() / below_home) / "spec11"


def _find_secrets(given: Keys | str, *, is_dsn: bool) -> Iterator[str]:
    """The secrets of one setting: a door's keys, one key, or a connection string's password."""
    if isinstance(given, str):
        yield from filter(None, [password(given) if is_dsn else given])
    else:
        yield from (key.decode() for key in given.now())


def _contradictions(config: Config) -> Iterator[str]:
    """Every pair of settings that cannot both be meant."""
    for name, given in (("SPEC11_APP_DSN", config.app_dsn), ("SPEC11_SYS_DSN", config.sys_dsn)):
        if given is not None and given != config.dsn:
            yield f"{name} differs from SPEC11_DSN: one transaction spans both schemas (D6)"
    if config.operator_tokens is None and not is_loopback(config.host):
        yield f"SPEC11_HOST={config.host!r} is not loopback and needs SPEC11_API_TOKEN (D36)"
    yield from _shared_keys(config)
    if config.oc_fixtures_only and config.oc_fixtures_dir is None:
        yield "OC_FIXTURES_ONLY needs OC_FIXTURES_DIR (D34)"
    yield from _limits_of_nothing(config)
    alternative = config.sbx_mode == "live" and config.sbx_provider != "e2b"
    if alternative and not config.sbx_alt_provider_enabled:
        yield f"SBX_PROVIDER={config.sbx_provider!r} needs SBX_ALT_PROVIDER_ENABLED=true (D35)"
    if config.otlp and not (config.otlp_traces and config.otlp_logs):
        yield (
            "DBOS_ENABLE_OTLP needs OTEL_EXPORTER_OTLP_TRACES_ENDPOINT "
            "and OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"
        )


def _limits_of_nothing(config: Config) -> Iterator[str]:
    """Limits of one partition, on a queue that has none."""
    partitioned = {"INTENT": config.intent_queue_partition, "SBX": config.sbx_queue_partition}
    for item in fields(config):
        queue, _, limit = item.metadata["name"].partition("_QUEUE_PARTITION_")
        if limit and not partitioned[queue] and getattr(config, item.name) is not None:
            yield f"{item.metadata['name']} needs {queue}_QUEUE_PARTITION=true (D28)"


def _shared_keys(config: Config) -> Iterator[str]:
    """One key cannot say two things of who has it."""
    doors = {
        "SPEC11_API_TOKEN": config.operator_tokens,
        "SPEC11_READER_TOKEN": config.reader_tokens,
        "SPEC11_WEBHOOK_TOKEN": config.webhook_tokens,
        "SPEC11_WEBHOOK_SECRET": config.webhook_secrets,
    }
    known = {name: {*given.now()} for name, given in doors.items() if given is not None}
    for one, other in combinations(known, 2):
        if known[one] & known[other]:
            yield f"{one} and {other} share a key (D36)"
