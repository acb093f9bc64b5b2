"""The throughput of the last hour; each figure has its source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from engine.api import http
from engine.contracts.base import millis
from engine.contracts.throughput import (
    FILE,
    SQL_APP,
    SQL_SYS,
    BudgetRow,
    FairnessRow,
    LoadFile,
    LoadRow,
    PriorityRow,
    TemplateRow,
    Throughput,
)
from engine.ports.lanes import LaneFile
from engine.store.throughput import Fairness, Priority, Template, Violation
from engine.usecases import throughput


async def show_throughput(request: Request) -> Response:
    """``GET /api/ops/throughput``."""
    lent = http.ports(request)
    seen = await throughput.load_throughput(lent.pool, lent.load_dir)
    body = Throughput(
        fairness=[_fairness(row) for row in seen.fairness],
        priority=[_priority(row) for row in seen.priority],
        budgets=[_budget(row) for row in seen.budgets],
        templates=[_template(row) for row in seen.templates],
        load=[_load(file) for file in seen.load],
    )
    return http.reply(body)


def _ref(table: str, *names: object) -> str:
    """Where to read a figure again: the relation, and the key of its row."""
    return f"sql:{table}#" + "/".join(quote(str(name), safe="") for name in names)


def _fairness(row: Fairness) -> FairnessRow:
    view = "app.v_ops_queue_fairness"
    ref = _ref(view, row.queue_name, row.partition_key or "", row.status)
    return FairnessRow(source=SQL_SYS, provenance=view, raw_ref=ref, **asdict(row))


def _priority(row: Priority) -> PriorityRow:
    view = "app.v_ops_queue_priority"
    ref = _ref(view, row.queue_name, row.priority, row.status)
    return PriorityRow(source=SQL_SYS, provenance=view, raw_ref=ref, **asdict(row))


def _budget(row: Violation) -> BudgetRow:
    return BudgetRow(
        source=SQL_APP,
        provenance="app.artifacts",
        raw_ref=row.uri,
        run_id=row.run_id,
        metric=row.metric,
        unit=row.unit,
        limit=row.allowed,
        observed=row.observed,
        outcome=row.outcome,
        ts=millis(row.at),
    )


def _template(row: Template) -> TemplateRow:
    return TemplateRow(
        source=SQL_APP,
        provenance="app.sbx_selections",
        raw_ref=_ref("app.sbx_selections", row.template_key, row.template_id or ""),
        selection="cold" if row.template_id is None else "hot",
        **asdict(row),
    )


def _load(file: LaneFile) -> LoadRow:
    found, fault = _parse_load_file(file)
    return LoadRow(
        source=FILE,
        provenance="load lane",
        raw_ref=f"file:{quote(file.name)}.json",
        name=file.name,
        ok=found is not None and all(_holds(found)),
        fault=fault,
        sha256=sha256(file.content).hexdigest(),
        **_figures(found),
    )


def _holds(found: LoadFile) -> Iterator[bool]:
    """Whether each threshold holds. In a lane without samples none holds."""
    yield found.samples > 0
    yield from (threshold.ok for threshold in found.thresholds)


def _figures(found: LoadFile | None) -> dict[str, Any]:
    if found is None:
        nothing = dict.fromkeys(("ts", "samples", "avg_ms", "p95_ms", "p99_ms"))
        return {**nothing, "thresholds": []}
    return {
        "ts": found.finished_at,
        "samples": found.samples,
        "avg_ms": found.avg_ms,
        "p95_ms": found.p95_ms,
        "p99_ms": found.p99_ms,
        "thresholds": found.thresholds,
    }


def _parse_load_file(file: LaneFile) -> tuple[LoadFile | None, str | None]:
    """The content of the file, or why it cannot be read."""
    if file.too_large:
        return None, "too large"
    try:
        found = LoadFile.model_validate_json(file.content)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_context=False, include_url=False)
        where = "/".join(map(str, faults[0]["loc"]))
        return None, f"{where or 'file'}: {faults[0]['msg']}"
    return (found, None) if found.name == file.name else (None, f"name: is {found.name}")
