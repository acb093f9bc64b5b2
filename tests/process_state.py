"""Whether a process is still there, asked while it may end at any moment."""

from __future__ import annotations

import psutil


def is_alive(process: psutil.Process) -> bool:
    """Whether the process runs; a zombie nobody waited for does not."""
    try:
        return process.is_running() and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:  # it ended between two looks
        return False


def is_pid_alive(pid: int) -> bool:
    """Whether a process of this id runs."""
    try:
        return is_alive(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False
