"""The files of a bundle, in a directory or an archive, which may be hostile.

The verifier unpacks nothing and follows no link, and limits the cost of reading any bytes.
"""

from __future__ import annotations

import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Protocol

from pytest_spec11.errors import BadInput

MAX_FILES: Final = 500_000
MAX_BYTES: Final = 8 << 30
MAX_RATIO: Final = 200  # of bytes to packed bytes; evidence packs about 10 to 1
_SLACK: Final = 1 << 20
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_SYMLINK: Final = 0o120000
_UNREADABLE: Final = (
    OSError,
    EOFError,
    NotImplementedError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
)


class Store(Protocol):
    """The files of a bundle by name, with their sizes."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """The size of each file, by its name."""
        ...

    def open(self, name: str) -> IO[bytes]:
        """The bytes of a file. Raises BadInput when they cannot be read."""
        ...


@contextmanager
def open_store(path: Path) -> Iterator[Store]:
    """The store at ``path``. Raises BadInput if it is neither a directory nor an archive."""
    try:
        if path.is_dir():
            yield Folder(path)
            return
        with _zip(path) as archive:
            yield Archive(archive, path.stat().st_size)
    except _UNREADABLE as error:
        raise BadInput(f"{path}: {error}") from error


def _zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (LookupError, ValueError, struct.error) as error:  # errors of other garbage
        raise BadInput(f"{path}: {type(error).__name__}: {error}") from error


class Folder:
    """A directory without the files behind links."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.sizes: Mapping[str, int] = dict(self._walk())
        _check_sizes(self.sizes)

    def _walk(self) -> Iterator[tuple[str, int]]:
        pending, count = [""], 0
        while pending:
            folder = pending.pop()
            with os.scandir(self._root / folder) as entries:
                for entry in entries:
                    name = f"{folder}/{entry.name}".removeprefix("/")
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode):
                        pending.append(name)
                    elif stat.S_ISREG(found.st_mode):
                        yield name, found.st_size
                    count += 1
                    if count > MAX_FILES:
                        raise BadInput(f"{self._root}: more than {MAX_FILES} files")

    def open(self, name: str) -> IO[bytes]:
        """The bytes of a file."""
        return (self._root / name).open("rb")


class Archive:
    """A zip file of stored or deflated members, without bombs, links and paths that lead out."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self._archive = archive
        self.sizes: dict[str, int] = {}
        packed = 0
        for member in archive.infolist():
            self._admit(member)
            packed += member.compress_size
        _check_sizes(self.sizes)
        if packed > size or sum(self.sizes.values()) > MAX_RATIO * size + _SLACK:
            raise BadInput("the archive holds more than its size can")

    def _admit(self, member: zipfile.ZipInfo) -> None:
        name = member.filename
        if not _NAME.fullmatch(name) or {"..", "."} & {*name.split("/")}:
            raise BadInput(f"the archive holds a file named {name[:80]!r}")
        if name in self.sizes:
            raise BadInput(f"the archive holds {name} twice")
        if member.external_attr >> 16 & 0o170000 == _SYMLINK or member.flag_bits & 1:
            raise BadInput(f"{name} is a link or encrypted")
        if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise BadInput(f"{name} is packed in an unknown way")
        self.sizes[name] = member.file_size
        if len(self.sizes) > MAX_FILES:
            raise BadInput(f"the archive holds more than {MAX_FILES} files")

    def open(self, name: str) -> IO[bytes]:
        """The bytes of a member."""
        return self._archive.open(name)


def _check_sizes(sizes: Mapping[str, int]) -> None:
    if sum(sizes.values()) > MAX_BYTES:
        raise BadInput(f"more than {MAX_BYTES} bytes")
