"""Faults of the family ``file.*``: changes of bytes on disk."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import override

from pytest_spec11.saboteurs.saboteur import Saboteur


class FileSaboteur(Saboteur):
    """A fault in files. Override :meth:`reading` or :meth:`made`; call ``self.hit()``."""


class FileTwin(FileSaboteur):
    """Opens every file before it is read, and changes nothing."""

    @override
    def before_read(self, path: Path) -> None:
        """Open the file."""
        if path.is_file():
            path.open("rb").close()
        self.hit()
