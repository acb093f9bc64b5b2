"""The files of a run's directory: journals, documents and blobs, counted and measured."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal

from pytest_spec11.errors import BadInput

MAX_FILES: Final = 200_000
MAX_JOURNAL: Final = 1 << 30
_HEX: Final = frozenset("0123456789abcdef")

Problem = Literal["missing", "linked", "emptied", "altered", "misstated"]


def list_contents(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """The journals in ``folder``, and its documents with the schema of each."""
    if not folder.is_dir():
        raise BadInput(f"{folder}: not a directory")
    found = sorted(folder.glob("journal-*.ndjson"))
    papers = [(path, "lane") for path in sorted(folder.glob("lane-*.json"))]
    papers += [(path, "kills") for path in folder.glob("kills.json")]
    if not found and not papers:
        raise BadInput(f"{folder}: no journal-*.ndjson in it, no lane-*.json, no kills.json")
    for path in found:
        kind = path.lstat()
        if not stat.S_ISREG(kind.st_mode) or kind.st_size > MAX_JOURNAL:
            raise BadInput(f"{path}: not a regular file of at most {MAX_JOURNAL} bytes")
    return found, papers


def count_files(folder: Path, allowed: int) -> int:
    """Count the files in ``folder`` without following links; refuse more than ``allowed``."""
    count = 0
    pending = [folder] if folder.is_dir() and not folder.is_symlink() else []
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                count += 1
                if count > allowed:
                    raise BadInput(f"more than {MAX_FILES} files")
    if count > allowed:
        raise BadInput(f"more than {MAX_FILES} files")
    return count


def list_sealed(binding: Mapping[str, Any]) -> list[str]:
    """The digests under which a run keeps its catalogue and its policy."""
    names = [str(binding.get(key, "")) for key in ("catalogue", "policy")]
    return [name for name in names if is_digest(name)]


def is_digest(name: str) -> bool:
    """Whether ``name`` is a sha256 in hex."""
    return len(name) == sha256().digest_size * 2 and _HEX.issuperset(name)


def measure_blob(blobs: Path, name: str) -> int | Problem:
    """The size of blob ``name`` in bytes, or what is wrong with it."""
    path = blobs / name[:2] / name
    if not is_digest(name):
        return "missing"
    if any(each.is_symlink() for each in (blobs, path.parent, path)):
        return "linked"
    if not path.is_file():
        return "missing"
    with path.open("rb") as file:
        total, size = sha256(), 0
        while chunk := file.read(1 << 20):
            total.update(chunk)
            size += len(chunk)
    if total.hexdigest() == name:
        return size
    return "altered" if size else "emptied"
