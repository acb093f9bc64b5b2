"""How the text of a setting is read: the result is a value, or a ValueError that says why not."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

Read = Callable[[str], Any]
NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,40}")
WORDS: Final = {"true": True, "1": True, "false": False, "0": False}


def define_setting(name: str, default: Any, read: Read = str, *, secret: bool = False) -> Any:
    """Define a field of a group: the variable ``name``, its default, and how its text is read.

    Nothing prints the value of a secret.
    """
    metadata = {"name": name, "read": read, "secret": secret}
    return field(default=default, repr=not secret, metadata=metadata)


def whole_number(low: int, high: int) -> Read:
    """A reader of whole numbers within ``low..high``."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal()):
            raise ValueError(f"not a whole number within {low}..{high}")
        if not low <= (value := int(text)) <= high:
            raise ValueError(f"not within {low}..{high}")
        return value

    return read


def one_of(*words: str) -> Read:
    """A reader that accepts these words only."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"not one of {', '.join(words)}")
        return text

    return read


def read_truth(text: str) -> bool:
    """Read ``true``, ``false``, ``1`` or ``0``."""
    if text.lower() not in WORDS:
        raise ValueError("not one of true, false, 1, 0")
    return WORDS[text.lower()]


def read_name(text: str) -> str:
    """Read a name of 1..40 plain characters."""
    if not NAME.fullmatch(text):
        raise ValueError("not 1..40 letters, digits or . _ -")
    return text


def read_http_url(text: str) -> str:
    """Read the address of a server, without a slash at its end."""
    found = urlsplit(text)
    if found.scheme not in {"http", "https"} or not found.hostname or found.query or found.fragment:
        raise ValueError("not http://HOST:PORT")
    return text.rstrip("/")


def read_directory(text: str) -> Path:
    """Read the path of a directory; ``~`` is the home of the user."""
    return Path(text).expanduser().absolute()


def refuse_global_limit(text: str) -> None:
    """Refuse a limit that the engine cannot keep, whatever its value (D11)."""
    del text
    raise ValueError("no limit that can be kept: runs that wait for people would count (D11)")


def choose_home(named: Path | None, below_home: Path, of_root: Path) -> Path:
    """The user's directory of one kind. Root's are the system's: the server runs as another."""
    if os.geteuid() == 0:
        return of_root / "spec11"
    return (named or Path.home() / below_home) / "spec11"
