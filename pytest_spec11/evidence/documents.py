"""Sealed documents: lanes, ``spec11 sabotage`` and the gate write them, whole or not at all.

The bytes are canonical JSON and a newline. ``sum`` is the digest of the document without ``sum``.
It detects accidental changes. It does not stop an attacker, who can recompute it; the signature
does.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from pytest_spec11.canon import canonical, digest
from pytest_spec11.errors import BadInput
from pytest_spec11.evidence.schemas import fault

MAX_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was read: its data, or what is wrong with it."""

    path: Path
    kind: str
    sha256: str
    size: int
    data: Mapping[str, Any]
    damage: str

    @property
    def name(self) -> str:
        """Directory and file name, short enough for a message."""
        return f"{self.path.parent.name}/{self.path.name}"


def write(path: Path, kind: str, document: Mapping[str, object]) -> None:
    """Seal ``document`` and write it to ``path``, never half of it.

    Raises BadInput when the document breaks the schema ``kind`` or the file cannot be written.
    """
    try:
        whole = {**document, "sum": digest(document)}
        made = canonical(whole) + b"\n"
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path.name}: {error}") from error
    if wrong := fault(kind, json.loads(made)):
        raise BadInput(f"{path.name}: {wrong}")
    replace(path, made)


def replace(path: Path, made: bytes) -> None:
    """Replace ``path`` by ``made``. A reader sees the old file or the new one.

    Raises BadInput when the disk refuses the write.
    """
    temporary = None
    try:
        handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(made)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise BadInput(f"{path}: {error}") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def read(path: Path, kind: str) -> Document:
    """The document in the file. Raises BadInput if it is not a regular file or is too large."""
    found = content(path)
    data, damage = parse_document(found, kind)
    return Document(path, kind, sha256(found).hexdigest(), len(found), data, damage)


def content(path: Path) -> bytes:
    """The bytes of the file. Raises BadInput if it is not a regular file or is too large."""
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
            raise BadInput(f"{path}: not a regular file of at most {MAX_BYTES} bytes")
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: {error}") from error


def parse_document(content: bytes, kind: str) -> tuple[Mapping[str, Any], str]:
    """The document in ``content``, and what is wrong with it; empty if it is sound."""
    try:
        data = json.loads(content, object_pairs_hook=_once)
        if not isinstance(data, dict) or canonical(data) + b"\n" != content:
            return {}, "not a document of canonical JSON"
        bare = {key: value for key, value in data.items() if key != "sum"}
        if data.get("sum") != digest(bare):
            return {}, "changed after it was sealed"
    except (ValueError, TypeError, RecursionError):
        return {}, "not JSON"
    return data, fault(kind, data)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object. Raises ValueError when a key occurs twice."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key twice")
    return made
