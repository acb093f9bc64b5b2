"""The archive: one file with runs, their documents and the sign-off.

Equal evidence gives equal bytes. The verifier checks an archive before anything is unpacked, so no
part of a hostile archive reaches the disk.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from pytest_spec11.canon import canonical, digest
from pytest_spec11.errors import BadInput
from pytest_spec11.evidence import documents

SIGNOFF: Final = "signoff.json"
ENVELOPE: Final = "signoff.dsse.json"
MANIFEST: Final = "manifest.json"
NAME: Final = "spec11/bundle/1"
_RUN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_FILE: Final = re.compile(r"journal-[A-Za-z0-9_.-]+\.ndjson|lane-[A-Za-z0-9_.-]+\.json|kills\.json")
_BLOB: Final = re.compile(r"blobs/[0-9a-f]{2}/[0-9a-f]{64}")
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_LEVEL: Final = 1
_SMALL: Final = 1 << 16
_DENSEST: Final = 50  # bytes to a packed byte; the verifier refuses an archive of 200


def export(
    out: Path, runs: Sequence[Path], signoff: Path | None, envelope: Path | None
) -> dict[str, Any]:
    """Write the archive to ``out`` and return its manifest. Raises BadInput."""
    files = dict(_files(runs))
    for name, path in ((SIGNOFF, signoff), (ENVELOPE, envelope)):
        if path is not None:
            files[name] = _regular(path)
    temporary = out.with_name(f".{out.name}.part")
    try:
        manifest = _write_archive(temporary, files)
        temporary.replace(out)
    except OSError as error:
        raise BadInput(f"{out}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return manifest


def _files(runs: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """All files of these runs that are evidence, by their names in the archive."""
    names = [run.resolve().name for run in runs]
    if len({*names}) != len(names):
        raise BadInput("two runs of one name cannot be in one archive")
    for run, name in zip(runs, names, strict=True):
        if not run.is_dir() or not _RUN.fullmatch(name):
            raise BadInput(f"{run}: not a run's directory")
        found = [path for path in sorted(run.iterdir()) if _FILE.fullmatch(path.name)]
        if not found:
            raise BadInput(f"{run}: it has no evidence")
        for path in [*found, *sorted(run.glob("blobs/*/*"))]:
            near = path.relative_to(run).as_posix()
            if _is_evidence(near):
                yield f"runs/{name}/{near}", _regular(path)


def _regular(path: Path) -> Path:
    try:
        if stat.S_ISREG(path.lstat().st_mode):
            return path
    except OSError as error:
        raise BadInput(f"{path}: {error}") from error
    raise BadInput(f"{path}: not a regular file")


def _write_archive(out: Path, files: Mapping[str, Path]) -> dict[str, Any]:
    listed = []
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for name, path in sorted(files.items()):
            content = path.read_bytes()
            archive.writestr(_member(name), content, _choose_packing(content))
            said = {"path": name, "bytes": len(content), "sha256": sha256(content).hexdigest()}
            listed += [said] if name != ENVELOPE else []
        document = {"schema": NAME, "runs": _runs(files), "files": listed}
        whole = {**document, "sum": digest(document)}
        archive.writestr(_member(MANIFEST), canonical(whole) + b"\n")
    return whole


def _choose_packing(content: bytes) -> int:
    """Stored, if it would pack so well that a reader must take it for a bomb."""
    if len(content) <= _SMALL:
        return zipfile.ZIP_DEFLATED
    packed = len(zlib.compress(content, _LEVEL))
    return zipfile.ZIP_DEFLATED if packed * _DENSEST > len(content) else zipfile.ZIP_STORED


def _member(name: str) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name, _EPOCH)
    made.compress_type = zipfile.ZIP_DEFLATED
    made.external_attr = (stat.S_IFREG | 0o644) << 16
    return made


def _runs(files: Mapping[str, Path]) -> list[str]:
    return sorted({name.split("/")[1] for name in files if name.startswith("runs/")})


def put(archive: Path, name: str, content: bytes) -> None:
    """Set the content of member ``name`` of the archive; leave the other members unchanged."""
    handle, made = tempfile.mkstemp(prefix=".", suffix=".part", dir=archive.parent)
    temporary = Path(made)
    try:
        with (
            os.fdopen(handle, "wb") as file,
            zipfile.ZipFile(archive) as old,
            zipfile.ZipFile(file, "w") as new,
        ):
            for each in old.infolist():
                if each.filename != name:
                    new.writestr(each, old.read(each))
            new.writestr(_member(name), content)
        temporary.replace(archive)
    except (OSError, zipfile.BadZipFile) as error:
        raise BadInput(f"{archive}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def member(archive: Path, name: str) -> bytes | None:
    """The content of a member, if it exists. Raises BadInput for a file that is not an archive."""
    try:
        with zipfile.ZipFile(archive) as found:
            known = found.NameToInfo.get(name)
            if known is None or known.file_size > documents.MAX_BYTES:
                return None
            return found.read(known)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise BadInput(f"{archive}: {error}") from error


def _require_evidence(archive: Path, names: Sequence[str]) -> None:
    """Raises BadInput for a member that is no evidence: nothing else is unpacked."""
    for name in names:
        top, _, rest = name.partition("/")
        run, _, file = rest.partition("/")
        is_of_run = top == "runs" and _RUN.fullmatch(run) and (_is_evidence(file))
        if name not in {SIGNOFF, ENVELOPE, MANIFEST} and not is_of_run:
            raise BadInput(f"{archive}: holds {name[:200]!r}, which is no evidence")


def _is_evidence(name: str) -> bool:
    """Whether a file of a run's directory is evidence by its name."""
    return bool(_FILE.fullmatch(name) or _BLOB.fullmatch(name))


def unpack(archive: Path, folder: Path) -> list[str]:
    """Unpack each run of the archive to a directory in ``folder``, and the sign-off beside them.

    Verify the archive first. Raises BadInput when a file or directory of that name exists.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".import-", dir=folder) as made:
            place = Path(made)
            with zipfile.ZipFile(archive) as found:
                _require_evidence(archive, found.namelist())
                found.extractall(place)
            tops = [*sorted((place / "runs").iterdir()), *sorted(place.glob("signoff*.json"))]
            for top in tops:
                if (folder / top.name).exists():
                    raise BadInput(f"{folder / top.name} already exists")
            for top in tops:
                shutil.move(top, folder / top.name)
            return [top.name for top in tops if top.parent.name == "runs"]
    except (OSError, zipfile.BadZipFile) as error:
        raise BadInput(f"{archive}: {error}") from error
