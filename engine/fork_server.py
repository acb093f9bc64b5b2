"""A process that has loaded one command and starts it by fork, for who starts hundreds.

Its standard input is one end of a socket pair (SOCK_SEQPACKET); each message is a JSON object.
``{"start": [WORD, ...], "env": {...}, "cwd": DIR}`` has the words after the command, comes with a
descriptor for what the process prints, and is answered by ``{"pid": N}``, or ``{"error": TEXT}``.
``{"reap": N}`` waits until that process has ended and is answered by ``{"code": N}``, negative for
a signal. At the end of the file the server ends, and no process with it.

A process that was forked is what one started by its command would be: the leader of a session of
its own, with the environment, the directory and the output that it was given, in the table of
processes too, and a zombie until it is reaped. Only the modules are there already.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Never, TypeAlias

from engine import process_table
from engine.errors import EngineError

LARGEST: Final = 1 << 20  # of a message
Message: TypeAlias = "dict[str, Any]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The process that is to be: its words, its whole environment, where it stands."""

    words: Sequence[str]
    env: dict[str, str]
    cwd: str
    output: int


def serve(connection: socket.socket, command: Sequence[str]) -> Order | None:
    """The order that this process, a fork, has to carry out; None in the server, at its end.

    Every order begins with ``command``.
    Raises EngineError when there are threads: a fork has one, and the locks of all the others.
    """
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        raise EngineError("a process with threads cannot start others by fork")
    while (found := _receive(connection)) is not None:
        message, output = found
        if "reap" in message:
            _, status = os.waitpid(message["reap"], 0)
            _send(connection, {"code": os.waitstatus_to_exitcode(status)})
        else:
            words = [*command, *message["start"]]
            order = Order(words=words, env=message["env"], cwd=message["cwd"], output=output)
            if _fork(connection, order):
                return order
    return None


def _receive(connection: socket.socket) -> tuple[Message, int] | None:
    data, descriptors, _, _ = socket.recv_fds(connection, LARGEST, 1)
    if not data:
        return None
    return json.loads(data), descriptors[0] if descriptors else -1


def _send(connection: socket.socket, message: Message) -> None:
    connection.sendall(json.dumps(message).encode())


def _fork(connection: socket.socket, order: Order) -> bool:
    """Whether this is the new process; the server has said by then that it is there."""
    read_end, write_end = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(read_end)
        connection.detach()  # the descriptor becomes the standard input of the new process
        _begin(order, write_end)
        return True
    os.close(write_end)
    os.close(order.output)
    with os.fdopen(read_end, "rb") as said:
        fault = said.read().decode(errors="replace")
    if fault:
        os.waitpid(pid, 0)
    _send(connection, {"error": fault} if fault else {"pid": pid})
    return False


def _begin(order: Order, write_end: int) -> None:
    """This process is what ``order`` says. When it cannot be, it says why and ends."""
    try:
        _run_program(order)
    except OSError as error:
        _give_up(write_end, f"{error}")
    os.close(write_end)


def _give_up(write_end: int, why: str) -> Never:
    os.write(write_end, why.encode() or b"?")
    os._exit(1)


def _run_program(order: Order) -> None:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, given in enumerate((nothing, order.output, order.output)):
        os.dup2(given, number)
    for given in {nothing, order.output}:
        os.close(given)
    os.chdir(order.cwd)
    os.environ.clear()  # noqa: TID251  # set, not read: it is that of a new process
    os.environ.update(order.env)  # noqa: TID251  # as above
    time.tzset()
    sys.argv = [sys.argv[0], *order.words]
    process_table.show([sys.executable, "-m", "engine", *order.words], order.env)
