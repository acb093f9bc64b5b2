"""The step summary: a few lines of Markdown for the page of a CI job."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from reports.dossier import Dossier

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~&-])")
REASONS: Final = 10


def text(dossier: Dossier) -> str:
    """The whole summary."""
    return "\n".join(_lines(dossier)) + "\n"


def _lines(dossier: Dossier) -> Iterator[str]:
    verdict = "GO" if dossier.go else "NO GO"
    yield f"## {verdict} for the release, scope {dossier.judged.question.scope}"
    yield ""
    yield f"{dossier.proven_count} of {dossier.needed_count} needed claims proven."
    if dossier.groups:
        yield ""
        yield "| reason | times | first | remedy |"
        yield "| --- | ---: | --- | --- |"
    for code, items in dossier.groups[:REASONS]:
        first = items[0]
        yield f"| {code} | {len(items)} | {_plain(first.subject)} | {_plain(first.remedy)} |"
    if len(dossier.groups) > REASONS:
        yield ""
        yield f"and {len(dossier.groups) - REASONS} more kinds of reasons."


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
