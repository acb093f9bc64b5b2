"""Files that load lanes left: their bytes, bounded in number and size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

SUFFIX: Final = ".json"
MOST_FILES: Final = 100
MOST_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LaneFile:
    """One file: its name without the suffix, and what it holds, up to a byte too many."""

    name: str
    content: bytes

    @property
    def too_large(self) -> bool:
        """Whether there is more in it than is read."""
        return len(self.content) > MOST_BYTES


def files(directory: Path) -> list[LaneFile]:
    """The first files by name; none where there is no such directory. Raises OSError."""
    found = sorted(path for path in directory.glob(f"*{SUFFIX}") if path.is_file())
    return [_read(path) for path in found[:MOST_FILES]]


def _read(path: Path) -> LaneFile:
    with path.open("rb") as file:
        return LaneFile(path.stem, file.read(MOST_BYTES + 1))
