"""What Linux is asked that the standard library does not ask: prctl, namespaces, Landlock."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from typing import Final

PARENT_DEATH: Final = 1  # prctl options
SUBREAPER: Final = 36
NO_NEW_PRIVILEGES: Final = 38
NEW_IPC: Final = 0x0800_0000  # namespaces
NEW_USER: Final = 0x1000_0000
NEW_NET: Final = 0x4000_0000

CREATE_RULESET: Final = 444  # system calls, the same on every architecture
ADD_RULE: Final = 445
RESTRICT_SELF: Final = 446
ASK_VERSION: Final = 1
BENEATH: Final = 1
READ: Final = 0b1101  # execute, read a file, list a directory
OF_A_FILE: Final = 0b1100_0000_0000_0111  # execute, write, read, truncate, ioctl
NO_TCP: Final = 0b11  # bind, connect
NO_STRANGERS: Final = 0b11  # abstract sockets and signals stay among the confined
RIGHTS: Final = (0, 13, 14, 15, 15, 16)  # how many rights over files each version knows
TCP_SINCE: Final = 4
SCOPES_SINCE: Final = 6

NEEDED: Final = "Linux 5.13 or newer, with landlock among its security modules"
_libc: Final = ctypes.CDLL(None, use_errno=True)


class _Rules(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("tcp", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("directory", ctypes.c_int32))


def prctl(option: int, value: int) -> None:
    """The process has this attribute. Raises OSError."""
    _check_result(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def install_filter(option: int, mode: int, program: ctypes.Structure) -> None:
    """Each system call from now on is asked of ``program``. Raises OSError."""
    _check_result(_libc.prctl(option, ctypes.c_ulong(mode), ctypes.byref(program), 0, 0))


def unshare(flags: int) -> bool:
    """Whether this process has namespaces of its own now; the kernel may refuse."""
    return bool(_libc.unshare(flags) == 0)


def landlock_version() -> int:
    """The version of Landlock; 0 where there is none."""
    return max(0, int(_libc.syscall(CREATE_RULESET, None, 0, ASK_VERSION)))


def confine(readable: Iterable[str], writable: Iterable[str], *, net: bool) -> None:
    """From now on this process and its children see and write these paths alone.

    No other file can be opened, no other process be signalled or looked into, and without ``net``
    no TCP be spoken. Needs NO_NEW_PRIVILEGES. Raises OSError.
    """
    version = landlock_version()
    if version == 0:
        raise OSError(f"the kernel has no Landlock, which keeps the files of others: {NEEDED}")
    everything = (1 << RIGHTS[min(version, len(RIGHTS) - 1)]) - 1
    rules = _Rules(
        everything,
        NO_TCP if version >= TCP_SINCE and not net else 0,
        NO_STRANGERS if version >= SCOPES_SINCE else 0,
    )
    known = 8 if version < TCP_SINCE else 16 if version < SCOPES_SINCE else 24
    ruleset = _check_result(_libc.syscall(CREATE_RULESET, ctypes.byref(rules), known, 0))
    try:
        for path in readable:
            _allow(ruleset, path, READ)
        for path in writable:
            _allow(ruleset, path, everything)
        _check_result(_libc.syscall(RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    """What lies at or below ``path``, if anything does, may be used so."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        allowed = rights if os.path.isdir(path) else rights & OF_A_FILE
        rule = _Beneath(allowed, place)
        _check_result(_libc.syscall(ADD_RULE, ruleset, BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(place)


def _check_result(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer
