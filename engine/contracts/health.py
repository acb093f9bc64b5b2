"""The body of ``/healthz``."""

from __future__ import annotations

from engine.contracts.base import Millis, View


class PostgresHealth(View):
    """Whether the database answers, and its version."""

    ok: bool
    version: str | None


class SchemaVersions(View):
    """The newest migration of each schema; null if there is none."""

    app: int | None
    dbos: int | None


class WorkerHealth(View):
    """One live executor."""

    executor_id: str
    app_version: str
    seen_at: Millis


class Health(View):
    """Whether starts and replies are durable now, and which workers execute them."""

    ok: bool
    reasons: list[str]
    warnings: list[str]
    app_version: str
    claim_scope: str
    postgres: PostgresHealth
    schemas: SchemaVersions
    workers: list[WorkerHealth]
    wanted_version: str
