"""The files of load lanes, with limits on their number and size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

SUFFIX: Final = ".json"
MOST_FILES: Final = 100
MOST_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LaneFile:
    """One file: its name without suffix, and its content up to one byte above the limit."""

    name: str
    content: bytes

    @property
    def too_large(self) -> bool:
        """Whether it is larger than the limit."""
        return len(self.content) > MOST_BYTES


def files(directory: Path) -> list[LaneFile]:
    """The first files by name; none if the directory does not exist. Raises OSError."""
    found = sorted(path for path in directory.glob(f"*{SUFFIX}") if path.is_file())
    return [_read(path) for path in found[:MOST_FILES]]


def _read(path: Path) -> LaneFile:
    with path.open("rb") as file:
        return LaneFile(path.stem, file.read(MOST_BYTES + 1))
