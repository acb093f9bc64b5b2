"""Evidence on disk: the files behind a sign-off's references, in one directory, without links."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Any, Final

from engine.core.signoff import Sight

OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
LARGEST: Final = 1 << 30
LONGEST_LINE: Final = 1 << 20
CHUNK: Final = 1 << 20
SIGNOFF: Final = "signoff.json"
LARGEST_SIGNOFF: Final = 16 << 20


class Astray(Exception):
    """A reference does not lead to a regular file of the directory. The message says why."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The directory that holds ``signoff.json`` and the bundles that it refers to."""

    root: Path

    def signoff(self) -> bytes | None:
        """The bytes of the sign-off; None if there is none. Raises Astray."""
        try:
            with self._open_file(SIGNOFF) as file:
                content = file.read(LARGEST_SIGNOFF + 1)
        except FileNotFoundError:
            return None
        if len(content) > LARGEST_SIGNOFF:
            raise Astray(f"is larger than {LARGEST_SIGNOFF} bytes")
        return content

    def sight(self, ref: str) -> Sight:
        """Digest and size of the file at ``ref``, or why it cannot be read."""
        try:
            with self._open_file(ref) as file:
                size = os.fstat(file.fileno()).st_size
                return Sight(hashlib.file_digest(file, "sha256").hexdigest(), size)
        except FileNotFoundError:
            return Sight(problem="leads to nothing")
        except Astray as error:
            return Sight(problem=str(error))

    def records(self, ref: str) -> Iterator[dict[str, Any]]:
        """The readable records of a journal. Raises Astray, FileNotFoundError."""
        with self._open_file(ref) as file:
            while line := file.readline(LONGEST_LINE):
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    return
                if isinstance(record, dict):
                    yield record

    def chunks(self, ref: str) -> Iterator[bytes]:
        """The bytes of the file at ``ref``, in pieces. Raises Astray, FileNotFoundError."""
        with self._open_file(ref) as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def _open_file(self, ref: str) -> BufferedReader:
        parts = PurePosixPath(ref).parts
        if not parts or "\0" in ref or ref.startswith("/") or ".." in parts:
            raise Astray("leads out of the evidence")
        with ExitStack() as ways:
            at = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            ways.callback(os.close, at)
            for name in parts[:-1]:
                at = _open_directory(name, OPEN | os.O_DIRECTORY, at)
                ways.callback(os.close, at)
            return _regular(_open_directory(parts[-1], OPEN, at))


def _open_directory(name: str, flags: int, at: int) -> int:
    try:
        return os.open(name, flags, dir_fd=at)
    except FileNotFoundError:
        raise
    except OSError as error:
        link = error.errno in {errno.ELOOP, errno.ENOTDIR}
        raise Astray(
            "leads through a link" if link else f"cannot be read: {error.strerror}"
        ) from error


def _regular(descriptor: int) -> BufferedReader:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
        os.close(descriptor)
        raise Astray(f"is no regular file of at most {LARGEST} bytes")
    return open(descriptor, "rb")  # the caller closes it
