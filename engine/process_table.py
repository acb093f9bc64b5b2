"""How this process is shown by the table of processes: its words and its environment.

Linux keeps both in the memory of the process, where they can be written anew. There is as much
room as the first ones had, so whoever starts a process that will be shown anew makes room.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

FIRST: Final = 48 - 3  # arg_start, of the fields that follow the name; see proc(5)


def show(words: Sequence[str], env: Mapping[str, str]) -> None:
    """The process is shown with ``words`` and ``env``. Raises OSError where there is no room."""
    after_name = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    words_start, words_end, env_start, env_end = map(int, after_name[FIRST : FIRST + 4])
    _write(words, words_start, words_end)
    _write([f"{name}={value}" for name, value in env.items()], env_start, env_end)


def _write(texts: Sequence[str], start: int, end: int) -> None:
    data = b"".join(text.encode(errors="surrogateescape") + b"\0" for text in texts)
    room = end - start
    if len(data) > room:
        raise OSError(errno.ENOSPC, f"{len(data)} bytes to be shown, and room for {room}")
    ctypes.memmove(start, data.ljust(room, b"\0"), room)
