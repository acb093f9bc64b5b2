"""A process that ends when the one that started it is gone, however that went."""

from __future__ import annotations

import argparse
import os
import signal
import threading
from typing import Final

LOOK_EVERY_S: Final = 0.25
GRACE_S: Final = 3.0


def argument(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` the option that a supervisor uses."""
    parser.add_argument("--owner", type=int, metavar="PID", help=argparse.SUPPRESS)


def follow(owner: int | None) -> None:
    """From now on the end of ``owner``, our parent, is a SIGTERM to us, then a sudden end."""
    if owner is not None:
        threading.Thread(target=_watch, args=(owner,), daemon=True).start()


def _watch(owner: int) -> None:
    pause = threading.Event()
    while os.getppid() == owner:
        pause.wait(LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
    pause.wait(GRACE_S)
    os._exit(1)
