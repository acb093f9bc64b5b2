"""How orders come into a run unseen: over standard input, before any code of the run is there.

The command line, the environment, the paths and the ports of a controlled run are those of a plain
one. The plugin takes the orders when pytest loads it, and leaves standard input as a plain run has
it: at the null device.
"""

from __future__ import annotations

import os
import socket
from typing import Final

from pytest_spec11.mutants.orders import Orders

_MAGIC: Final = b"spec11 orders 1\n"
_STDIN: Final = 0
_received: list[Orders] = []


def open_channel() -> tuple[socket.socket, socket.socket]:
    """The sender's end, and the one that becomes standard input of the run."""
    ours, theirs = socket.socketpair()
    ours.sendall(_MAGIC)  # it is there before the run looks: a run that has no orders never waits
    return ours, theirs


def send(channel: socket.socket, orders: Orders) -> None:
    """The run that holds the other end gets its orders; one that ended early does without."""
    try:
        channel.sendall(orders.dumps())
        channel.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError):
        return


def receive_status(channel: socket.socket) -> int:
    """The exit status that whoever holds the other end sends at last; -1 when it died before."""
    said = channel.recv(16)  # not to the end: whoever the run left behind may hold the other end
    return int(said) if said.isdigit() else -1


def receive() -> None:
    """Orders that wait at standard input, a socket, are taken; after that it brings nothing."""
    with socket.socket(fileno=os.dup(_STDIN)) as channel:
        if not _brings_orders(channel):
            return
        channel.settimeout(None)
        text = b"".join(iter(lambda: channel.recv(1 << 16), b""))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, _STDIN)
    os.close(null)
    _received.append(Orders.loads(text.removeprefix(_MAGIC)))


def take() -> Orders | None:
    """The orders of this process, for the first who asks; None in a plain run."""
    return _received.pop() if _received else None


def _brings_orders(channel: socket.socket) -> bool:
    try:
        channel.settimeout(0)
        return channel.recv(len(_MAGIC), socket.MSG_PEEK) == _MAGIC
    except OSError:
        return False
