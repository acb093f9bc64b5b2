"""Faults of the family ``file.*``: bytes on disk that somebody else changes."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import override

from pytest_spec11.saboteurs.saboteur import Saboteur


class FileSaboteur(Saboteur):
    """A fault in files. Override :meth:`reading` or :meth:`made`; call ``self.hit()``."""


class FileTwin(FileSaboteur):
    """Every file is opened before it is read, and left as it is."""

    @override
    def before_read(self, path: Path) -> None:
        """Looked at."""
        if path.is_file():
            path.open("rb").close()
        self.hit()
