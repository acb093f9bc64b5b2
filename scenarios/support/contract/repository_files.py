"""The files of this repository that git knows, as bytes on disk."""

from __future__ import annotations

import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

from pytest_spec11.oracles.files import Files

ROOT = Path(__file__).parents[3]
GIT = shutil.which("git") or "git"


def digest_tracked_files(files: Files) -> dict[str, str]:
    """One digest over all tracked files for each top-level name; a missing file counts too."""
    listed = subprocess.run(  # noqa: S603  # our own words only
        [GIT, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    names = listed.stdout.split("\0")[:-1]
    assert names, "no file is tracked here"
    sums: dict[str, str] = {}
    for name in names:
        top = name.partition("/")[0]
        chained = f"{sums.get(top, '')} {name} {files.sha256(ROOT / name)}"
        sums[top] = sha256(chained.encode()).hexdigest()
    return sums
