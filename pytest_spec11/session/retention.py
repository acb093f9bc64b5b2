"""Retention: keep the newest runs, and always a run that may not have ended yet."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

_RUN: Final = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{8}")
_LONGEST: Final = timedelta(hours=24)  # an unsealed run that is older than this was abandoned
_TAIL: Final = 1024
_SEAL: Final = b'"kind":"seal"'


def prune(folder: Path, keep: int, now: datetime) -> list[str]:
    """Remove all finished runs of ``folder`` except the newest ``keep``; return their names."""
    found = [each for each in folder.iterdir() if _RUN.fullmatch(each.name)]
    runs = sorted(each for each in found if each.is_dir() and not each.is_symlink())
    gone = [each for each in runs[: max(len(runs) - keep, 0)] if _has_ended(each, now)]
    for each in gone:
        shutil.rmtree(each, ignore_errors=True)
    return [each.name for each in gone]


def _has_ended(run: Path, now: datetime) -> bool:
    begun = datetime.strptime(run.name.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    journals = list(run.glob("journal-*.ndjson"))
    return now - begun > _LONGEST or (bool(journals) and all(map(_is_sealed, journals)))


def _is_sealed(journal: Path) -> bool:
    with journal.open("rb") as file:
        file.seek(max(journal.stat().st_size - _TAIL, 0))
        return _SEAL in file.read()
