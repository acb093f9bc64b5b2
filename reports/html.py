"""The report: one page without network and script, for the desk, the phone and the printer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from reports.dossier import Dossier

ENVIRONMENT: Final = Environment(
    loader=PackageLoader("reports"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(dossier: Dossier) -> str:
    """The whole page. Everything that comes from evidence is escaped."""
    return ENVIRONMENT.get_template("signoff.html.jinja").render(d=dossier, s=dossier.document)


def _time(ms: int) -> str:
    return (
        datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if ms else "never"
    )


def _short(text: str, length: int = 200) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.2f} s"


ENVIRONMENT.filters.update(time=_time, short=_short, seconds=_seconds)
