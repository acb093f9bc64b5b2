"""The oracle of bytes on disk."""

from __future__ import annotations

from pathlib import Path

from pytest_spec11.oracles.witness import Witness, fingerprint
from pytest_spec11.saboteurs.saboteur import ActiveSaboteurs


class Files:
    """Contents of files. A missing file is an observation too."""

    def __init__(self, witness: Witness, armed: ActiveSaboteurs) -> None:
        self._witness = witness
        self._armed = armed

    def read(self, path: Path | str) -> bytes | None:
        """The bytes of the file; None if it does not exist."""
        self._armed.before_read(Path(path))
        data: bytes | None = self._witness.pass_on("file", str(path), _content(Path(path)))
        if data is None:
            self._witness("file", str(path), {"path": str(path), "missing": True}, empty=True)
            return None
        facts = {"path": str(path), "bytes": len(data), "sha256": fingerprint(data)}
        self._witness("file", str(path), facts, body=data, empty=not data)
        return data

    def sha256(self, path: Path | str) -> str | None:
        """sha256 of the file as 64 hex digits; None if it does not exist."""
        data = self.read(path)
        return None if data is None else fingerprint(data)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
