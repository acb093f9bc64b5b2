"""The settings by topic: a group is a class, and a field is one variable of docs/contract.md."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine import crash_points
from engine.config.readers import (
    choose_home,
    define_setting,
    one_of,
    read_directory,
    read_http_url,
    read_name,
    read_truth,
    refuse_global_limit,
    whole_number,
)
from engine.core.queues import Limits, Rate
from engine.ports.keys import Keys, keys
from engine.ports.sbx.settings import Settings
from engine.ports.supervisor import cage
from engine.store.dsn import normalise_dsn

OPENCODE: Final = "http://127.0.0.1:4096"  # where `opencode serve` listens when nobody says
SIGNOFF_DIR: Final = Path(".spec11")  # where the gate writes when nobody says
SLOTS: Final = whole_number(1, 1000)
STARTS: Final = whole_number(1, 1_000_000)
PERIOD_S: Final = whole_number(1, 86_400)
MILLISECONDS: Final = whole_number(1, 2**31 - 1)
PAUSE_MS: Final = whole_number(0, 600_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Which database, and how long a request may use it."""

    dsn: str | None = define_setting("SPEC11_DSN", None, normalise_dsn, secret=True)
    app_dsn: str | None = define_setting("SPEC11_APP_DSN", None, normalise_dsn, secret=True)
    sys_dsn: str | None = define_setting("SPEC11_SYS_DSN", None, normalise_dsn, secret=True)
    timeout_ms: int = define_setting("SPEC11_DATABASE_TIMEOUT_MS", 4000, whole_number(100, 600_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where the engine keeps its files."""

    data_dir: Path | None = define_setting("SPEC11_DATA_DIR", None, read_directory)
    workspace_dir: Path | None = define_setting("SPEC11_WORKSPACE", None, read_directory)
    load_dir: Path | None = define_setting("SPEC11_LOAD_DIR", None, read_directory)
    data_home: Path | None = define_setting("XDG_DATA_HOME", None, read_directory)
    cache_home: Path | None = define_setting("XDG_CACHE_HOME", None, read_directory)

    @property
    def data(self) -> Path:
        """Where the embedded server keeps its files."""
        return self.data_dir or choose_home(self.data_home, Path(".local/share"), Path("/var/lib"))

    @property
    def workspace(self) -> Path:
        """The directory below whose ``.tmp`` patches are written; one for all workers."""
        return self.workspace_dir or self.data / "workspace"

    @property
    def load_results(self) -> Path:
        """Where load lanes leave what they measured."""
        return self.load_dir or self.data / "load"

    @property
    def cache(self) -> Path:
        """Where what can be made again is kept."""
        return choose_home(self.cache_home, Path(".cache"), Path("/var/cache"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """Where the api-shim listens, and to how many."""

    host: str = define_setting("SPEC11_HOST", "127.0.0.1")
    port: int = define_setting("PORT", 3001, whole_number(0, 65535))
    admin_port: int = define_setting("ADMIN_PORT", 3002, whole_number(0, 65535))
    max_connections: int = define_setting("SPEC11_MAX_CONNECTIONS", 2000, whole_number(16, 65536))


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The keys of who may call what (D36)."""

    operator_tokens: Keys | None = define_setting("SPEC11_API_TOKEN", None, keys, secret=True)
    reader_tokens: Keys | None = define_setting("SPEC11_READER_TOKEN", None, keys, secret=True)
    webhook_tokens: Keys | None = define_setting("SPEC11_WEBHOOK_TOKEN", None, keys, secret=True)
    webhook_secrets: Keys | None = define_setting("SPEC11_WEBHOOK_SECRET", None, keys, secret=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Which release this is, and where its sign-off lies."""

    signoff_dir: Path = define_setting("SPEC11_SIGNOFF_DIR", SIGNOFF_DIR, read_directory)
    commit: str | None = define_setting("SIGNOFF_COMMIT", None)
    tree: str | None = define_setting("SIGNOFF_TREE", None)
    scope: str = define_setting("CLAIM_SCOPE", "demo", one_of("demo", "signoff", "live-smoke"))

    @property
    def names_signoff(self) -> bool:
        """Whether somebody said where the sign-off lies: then there has to be one."""
        return self.signoff_dir != SIGNOFF_DIR


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Who this process is among the processes of a runtime, and where a drill ends it."""

    app_version: str = define_setting("DBOS__APPVERSION", "v1")
    executor_id: str = define_setting("DBOS__VMID", "w0", read_name)
    mode: str = define_setting("WORKFLOW_RUNTIME_MODE", "api-shim", one_of("api-shim"))
    crash_at: tuple[str, int] | None = define_setting(
        "SPEC11_CRASH_AT", None, crash_points.parse_point
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Agents:
    """Who answers for the agents (D34)."""

    mode: str = define_setting("OC_MODE", "replay", one_of("replay", "record", "live"))
    strict: bool = define_setting("OC_STRICT_MODE", default=True, read=read_truth)
    base_url: str = define_setting("OC_BASE_URL", OPENCODE, read_http_url, secret=True)
    timeout_ms: int = define_setting("OC_TIMEOUT_MS", 300_000, MILLISECONDS)
    fixtures_dir: Path | None = define_setting("OC_FIXTURES_DIR", None, read_directory)
    fixtures_only: bool = define_setting("OC_FIXTURES_ONLY", default=False, read=read_truth)
    record_dir: Path | None = define_setting("OC_RECORD_DIR", None, read_directory)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandboxes:
    """Where tasks run, and within what limits (D35)."""

    mode: str = define_setting("SBX_MODE", "mock", one_of("mock", "live"))
    provider: str = define_setting("SBX_PROVIDER", "e2b", one_of("e2b", "microsandbox", "local"))
    allows_alternative: bool = define_setting(
        "SBX_ALT_PROVIDER_ENABLED", default=False, read=read_truth
    )
    timeout_ms: int = define_setting("SBX_DEFAULT_TIMEOUT_MS", 300_000, MILLISECONDS)
    net: bool = define_setting("SBX_DEFAULT_NET", default=False, read=read_truth)
    cpu_s: int = define_setting("SBX_LOCAL_CPU_S", 300, whole_number(1, 86_400))
    memory_mb: int = define_setting("SBX_MEMORY_MB", 512, whole_number(16, 1_048_576))
    file_mb: int = define_setting("SBX_LOCAL_FILE_MB", 64, whole_number(1, 1_048_576))
    processes: int = define_setting("SBX_LOCAL_PROCESSES", 128, whole_number(1, 65_536))
    base_dir: Path | None = define_setting("SBX_LOCAL_DIR", None, read_directory)
    shared_dir: Path | None = define_setting("SBX_LOCAL_SHARED_DIR", None, read_directory)
    e2b_key: str | None = define_setting("E2B_API_KEY", None, secret=True)
    e2b_template: str | None = define_setting("E2B_TEMPLATE", None)
    microsandbox_image: str = define_setting("MICROSANDBOX_IMAGE", "alpine")
    pause_ms: int = define_setting("CHAOS_SLEEP_EXECUTE", 0, PAUSE_MS)

    @property
    def settings(self) -> Settings:
        """What the provider of sandboxes is made from."""
        limits = cage.Limits(
            wall_ms=self.timeout_ms,
            cpu_s=self.cpu_s,
            memory_mb=self.memory_mb,
            file_mb=self.file_mb,
            processes=self.processes,
        )
        return Settings(
            mode=self.mode,
            provider=self.provider,
            limits=limits,
            net=self.net,
            base=self.base_dir,
            shared=self.shared_dir,
            e2b_key=self.e2b_key,
            e2b_template=self.e2b_template,
            microsandbox_image=self.microsandbox_image,
            pause_ms=self.pause_ms,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentQueue:
    """What the queue of runs lets start (D11, D28)."""

    partitioned: bool = define_setting("INTENT_QUEUE_PARTITION", default=True, read=read_truth)
    at_once: int = define_setting("INTENT_QUEUE_WORKER_CONCURRENCY", 16, SLOTS)
    of_one: int | None = define_setting("INTENT_QUEUE_PARTITION_WORKER_CONCURRENCY", None, SLOTS)
    everywhere: None = define_setting("INTENT_QUEUE_CONCURRENCY", None, refuse_global_limit)
    rate: int | None = define_setting("INTENT_QUEUE_RATE_LIMIT_PER_PERIOD", None, STARTS)
    rate_of_one: int | None = define_setting(
        "INTENT_QUEUE_PARTITION_RATE_LIMIT_PER_PERIOD", None, STARTS
    )
    period_s: int = define_setting("INTENT_QUEUE_RATE_LIMIT_PERIOD_SEC", 60, PERIOD_S)

    @property
    def limits(self) -> Limits:
        """These settings as the limits of a queue."""
        return Limits(
            partitioned=self.partitioned,
            at_once=self.at_once,
            of_one=self.of_one,
            rate=_make_rate(self.rate, self.period_s),
            rate_of_one=_make_rate(self.rate_of_one, self.period_s),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQueue:
    """What the queue of sandboxed tasks lets start (D28)."""

    partitioned: bool = define_setting("SBX_QUEUE_PARTITION", default=True, read=read_truth)
    at_once: int = define_setting("SBX_QUEUE_WORKER_CONCURRENCY", 8, SLOTS)
    of_one: int | None = define_setting("SBX_QUEUE_PARTITION_WORKER_CONCURRENCY", None, SLOTS)
    everywhere: int | None = define_setting("SBX_QUEUE_CONCURRENCY", None, SLOTS)
    of_one_everywhere: int | None = define_setting("SBX_QUEUE_PARTITION_CONCURRENCY", None, SLOTS)
    rate: int | None = define_setting("SBX_QUEUE_RATE_LIMIT_PER_PERIOD", None, STARTS)
    rate_of_one: int | None = define_setting(
        "SBX_QUEUE_PARTITION_RATE_LIMIT_PER_PERIOD", None, STARTS
    )
    period_s: int = define_setting("SBX_QUEUE_RATE_LIMIT_PERIOD_SEC", 60, PERIOD_S)

    @property
    def limits(self) -> Limits:
        """These settings as the limits of a queue."""
        return Limits(
            partitioned=self.partitioned,
            at_once=self.at_once,
            of_one=self.of_one,
            everywhere=self.everywhere,
            of_one_everywhere=self.of_one_everywhere,
            rate=_make_rate(self.rate, self.period_s),
            rate_of_one=_make_rate(self.rate_of_one, self.period_s),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long gates wait for people, demo runs sleep, and how often a worker ticks."""

    gate_ttl_s: int = define_setting("HITL_PLAN_APPROVAL_TIMEOUT_S", 3600, whole_number(1, 86_400))
    sleep_ms: int = define_setting("WF_SLEEP_MS", 5000, PAUSE_MS)
    tick_s: int = define_setting("SPEC11_TICK_S", 0, whole_number(0, 59))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """Where spans and logs go."""

    otlp: bool = define_setting("DBOS_ENABLE_OTLP", default=False, read=read_truth)
    traces: str | None = define_setting("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", None)
    logs: str | None = define_setting("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", None)


def _make_rate(starts: int | None, period_s: int) -> Rate | None:
    return None if starts is None else Rate(starts=starts, period_s=period_s)
