"""The journal: what one process of the run recorded. Each line is bound to the line before it.

A line is canonical JSON ``{"at", "data", "kind", "prev", "seq"}`` and a newline; ``prev`` is the
sha256 of the previous line, with its newline. The last line is the seal. Its ``sum`` is the digest
of the seal without ``sum``, so that a digest covers every byte of a journal.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from pytest_spec11.canon import NotCanonical, canonical_lossy, digest, parse_line
from pytest_spec11.errors import BadInput, JournalBroken
from pytest_spec11.evidence.merkle import MerkleTree
from pytest_spec11.evidence.record_shapes import find_fault

ZERO: Final = "0" * 64
MAX_LINE: Final = 4 * 1024 * 1024
TORN: Final = "torn"
_KEYS: Final = frozenset({"at", "data", "kind", "prev", "seq"})


class Record(NamedTuple):
    """One whole line of a journal."""

    seq: int
    kind: str
    at: int
    data: Mapping[str, Any]
    line: bytes = b""


class Times(NamedTuple):
    """When the records of a journal were written, in epoch milliseconds."""

    first: int
    last: int
    earliest: int
    latest: int


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of reading one journal. It keeps no records; a listener gets each."""

    records: int  # whole records up to the first damage
    damage: str | None
    sealed: bool
    times: Times | None  # of the whole records; None if there is none
    start: Mapping[str, Any]  # data of the first record
    expected: frozenset[str]  # roles of workers that must leave a journal
    lost: frozenset[str]  # roles of workers that died
    exit_status: int | None  # None without a seal
    root: str  # Merkle root over the sha256 of each whole line
    sha256: str  # of all bytes of the file, also after a damage


class Journal:
    """The only writer of a journal file. Threads may share it."""

    def __init__(self, path: Path, blobs: Path) -> None:
        self.path = path
        self._blobs = blobs
        self._lock = threading.RLock()
        self._seq = 0
        self._head = ZERO
        self._closed = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("xb", buffering=1 << 16)
        except OSError as error:
            raise JournalBroken(f"journal {path}: {error}") from error

    def start(self, **facts: object) -> None:
        """Write the first record to the disk: run, role, process and binding."""
        with self._lock:
            self.write("start", **facts)
            self.sync()

    def write(self, kind: str, **data: object) -> None:
        """Write one record; :meth:`sync` brings it to the disk.

        Raises JournalBroken when the record cannot be written whole, and after that at each call.
        """
        with self._lock:
            self._refuse_closed()
            try:
                line = self._line(kind, data)
                self._file.write(line)
            except (OSError, ValueError, RecursionError) as error:
                self._closed = f"{kind}: {error}"
                raise JournalBroken(f"journal {self.path.name}: {kind}: {error}") from error
            self._head = sha256(line).hexdigest()
            self._seq += 1

    def _line(self, kind: str, data: Mapping[str, object]) -> bytes:
        body: dict[str, Any] = {
            "seq": self._seq,
            "kind": kind,
            "prev": self._head,
            "at": time.time_ns() // 1_000_000,
            "data": data,
        }
        if kind == "seal":
            body["data"] = {**data, "sum": digest(body)}
        line = canonical_lossy(body) + b"\n"
        wrong = find_fault(kind, json.loads(line)["data"])
        if wrong:
            raise ValueError(wrong)
        if len(line) > MAX_LINE:
            raise ValueError(f"record of {len(line)} bytes")
        return line

    def blob(self, content: bytes) -> str:
        """Store ``content`` as a blob, once, and return its sha256."""
        name = sha256(content).hexdigest()
        target = self._blobs / name[:2] / name
        try:
            if not target.exists():
                _store(target, content)
        except OSError as error:
            raise JournalBroken(f"blob {target}: {error}") from error
        return name

    def sync(self) -> None:
        """Bring everything that was written to the disk."""
        with self._lock:
            self._refuse_closed()
            try:
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError as error:
                self._closed = f"sync: {error}"
                raise JournalBroken(f"journal {self.path.name}: {error}") from error

    def seal(self, **facts: object) -> None:
        """Write the last record: count and head of all records before it. No record may follow."""
        with self._lock:
            self.write("seal", **{**facts, "count": self._seq, "head": self._head})
            self.sync()
            self._closed = "sealed"
            self._file.close()

    def close(self) -> None:
        """Close the file without a seal. It stays readable, but it never proves a claim."""
        with self._lock:
            self._closed = self._closed or "closed"
            with suppress(OSError):
                self._file.close()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise JournalBroken(f"journal {self.path.name}: nothing may follow ({self._closed})")


def _store(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def hear_both(
    first: Callable[[Record], object], second: Callable[[Record], object]
) -> Callable[[Record], object]:
    """Give every record to both."""
    if second is ignore_record:
        return first

    def hear(record: Record) -> None:
        first(record)
        second(record)

    return hear


def ignore_record(_: Record) -> None:
    """Ignore a record."""


def read(path: Path, hear: Callable[[Record], object] = ignore_record) -> Reading:
    """Read a journal of any bytes; ``hear`` gets each record up to the first damage.

    A longer journal needs no more memory. Raises BadInput when the file cannot be opened or read.
    """
    reader, whole = _Reader(), sha256()
    try:
        with path.open("rb", buffering=1 << 20) as file:
            for line in _lines(file):
                whole.update(line)
                record = reader.accept(line)
                if record is None:
                    break
                hear(record)
            while rest := file.read(1 << 20):
                whole.update(rest)
    except OSError as error:
        raise BadInput(f"journal {path}: {error}") from error
    return reader.finish(whole.hexdigest())


class _Reader:
    """Reads one journal line by line and keeps its state."""

    def __init__(self) -> None:
        self._tree = MerkleTree()
        self._records = 0
        self._head = ZERO
        self._damage: str | None = None
        self._times: Times | None = None
        self._start: Mapping[str, Any] = {}
        self._expected: set[str] = set()
        self._lost: set[str] = set()
        self._exit_status: int | None = None

    def accept(self, line: bytes) -> Record | None:
        """The record in ``line``; None if it is damaged. No record after a damaged one counts."""
        sealed = self._exit_status is not None
        found = "record after the seal" if sealed else _parse(line, self._records, self._head)
        if isinstance(found, str):
            self._damage = found
            return None
        digest = sha256(line)
        self._tree.append(digest.digest())
        self._head = digest.hexdigest()
        self._records += 1
        self._note(found)
        return found

    def _note(self, record: Record) -> None:
        at, data = record.at, record.data
        first, _, earliest, latest = self._times or (at, at, at, at)
        self._times = Times(first, at, min(earliest, at), max(latest, at))
        if record.kind == "start":
            self._start = data
        elif record.kind == "workers":
            self._expected.update(data["expected"])
            self._lost.update(data["lost"])
        elif record.kind == "seal":
            self._exit_status = data["exitStatus"]

    def finish(self, digest: str) -> Reading:
        """The result, after the last line."""
        return Reading(
            records=self._records,
            damage=self._damage,
            sealed=self._damage is None and self._exit_status is not None,
            times=self._times,
            start=self._start,
            expected=frozenset(self._expected),
            lost=frozenset(self._lost),
            exit_status=self._exit_status,
            root=self._tree.root,
            sha256=digest,
        )


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(MAX_LINE + 1):
        yield line


def _parse(line: bytes, seq: int, prev: str) -> Record | str:
    """The record in ``line``, or the name of its fault."""
    if len(line) > MAX_LINE:
        return f"line {seq} is longer than {MAX_LINE} bytes"
    if not line.endswith(b"\n"):
        return f"{TORN} last line {seq}"
    try:
        body = parse_line(line)
    except NotCanonical:
        return f"line {seq} is not canonical JSON"
    except (ValueError, TypeError, RecursionError):
        return f"line {seq} is not JSON"
    return _check(body, seq, prev, line)


def _check(body: object, seq: int, prev: str, line: bytes) -> Record | str:
    if not isinstance(body, dict) or body.keys() != _KEYS:
        return f"line {seq} is not a record"
    if type(body["seq"]) is not int or body["seq"] != seq:
        return f"gap: record {body['seq']} where {seq} belongs"
    if body["prev"] != prev:
        return f"broken chain at record {seq}"
    if type(body["at"]) is not int or not isinstance(body["kind"], str):
        return f"record {seq} has no time or kind"
    wrong = find_fault(body["kind"], body["data"]) or _find_misplaced(body, seq, prev)
    if wrong:
        return f"record {seq}: {wrong}"
    return Record(seq, body["kind"], body["at"], body["data"], line)


def _find_misplaced(body: Mapping[str, Any], seq: int, prev: str) -> str:
    data = body["data"]
    if (body["kind"] == "start") != (seq == 0):
        return "start is the first record and only that"
    if body["kind"] != "seal":
        return ""
    if (data["count"], data["head"]) != (seq, prev):
        return "the seal counts other records"
    bare = {key: value for key, value in data.items() if key != "sum"}
    return "" if digest({**body, "data": bare}) == data["sum"] else "the seal was changed"
