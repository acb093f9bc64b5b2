"""Renders a page: templates that escape everything, strict headers, times in two forms."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from engine.boards import assets

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES: Final = Path(__file__).with_name("templates")
HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def render(template: str, status: int, facts: Mapping[str, Any]) -> Response:
    """The page of a template, with a status."""
    now_ms = int(time.time() * 1000)
    text = _environment().get_template(template).render(**facts, now_ms=now_ms)
    return Response(text, status, HEADERS, media_type="text/html; charset=utf-8")


@cache
def _environment() -> Environment:
    from jinja2 import (  # noqa: PLC0415  # a process that shows no page has no use for it
        Environment,
        FileSystemLoader,
        StrictUndefined,
    )

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "iso": to_iso,
        "relative": to_relative,
        "duration": to_duration,
        "pretty": to_pretty,
        "short": lambda text: str(text)[:12],
    }
    made.globals["asset"] = assets.locate
    return made


def to_iso(at_ms: int | None) -> str:
    """Epoch milliseconds as a time of UTC; empty for no time."""
    if at_ms is None:
        return ""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_relative(at_ms: int | None, now_ms: int) -> str:
    """How long ago a time was, or how long it is until then."""
    if at_ms is None:
        return ""
    left_s = (at_ms - now_ms) / 1000
    words = to_duration(abs(left_s) * 1000)
    return f"in {words}" if left_s > 0 else f"{words} ago"


def to_duration(span_ms: float) -> str:
    """A span in its largest unit; below a second in milliseconds."""
    for size_s, unit in _UNITS:
        if span_ms >= size_s * 1000:
            return f"{span_ms / size_s / 1000:.0f} {unit}"
    return f"{span_ms:.0f} ms"


def to_pretty(value: Any) -> str:
    """A value as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)
