"""What a command wrote to one stream, bounded while it comes in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MOST_KEPT: Final = 256 * 1024


@dataclass(slots=True)
class Stream:
    """The first bytes of it, and how many there were."""

    kept: bytearray = field(default_factory=bytearray)
    size: int = 0

    def take(self, data: bytes) -> None:
        """More of it."""
        self.size += len(data)
        self.kept += data[: MOST_KEPT - len(self.kept)]

    @property
    def is_truncated(self) -> bool:
        """Whether less is kept than there was."""
        return self.size > len(self.kept)

    @property
    def text(self) -> str:
        """What is kept."""
        return text(bytes(self.kept))


def text(data: bytes) -> str:
    """``data`` as text that a database can keep: it has no room for NUL."""
    return data.decode(errors="replace").replace("\0", "\ufffd")
