"""Which system calls a command may not make: a seccomp filter, which no child can take off.

Landlock does not hold the sockets of this machine. So a command gets no socket but those of a
network: not the database's, not another service's, whoever's account it runs under.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.ports.supervisor import kernel

SECCOMP: Final = 22  # a prctl option, and its mode
BY_FILTER: Final = 2
LOAD: Final = 0x20  # instructions: load a word of the call, compare, mask, answer
EQUAL: Final = 0x15
AT_LEAST: Final = 0x35
MASK: Final = 0x54
ANSWER: Final = 0x06
ALLOW: Final = 0x7FFF_0000
FAIL: Final = 0x0005_0000
NUMBER: Final = 0  # where in a call which word stands
ARCHITECTURE: Final = 4
FIRST: Final = 16
SECOND: Final = 24
X32: Final = 0x4000_0000  # calls of another numbering begin here
AF_INET: Final = 2  # as the kernel numbers families and types; not every interpreter has all
AF_INET6: Final = 10
AF_NETLINK: Final = 16
DATAGRAMS: Final = 2
OF_TYPE: Final = 0xF  # the rest of a socket's type are flags
NETWORKS: Final = (AF_INET, AF_INET6)
# Others' keys, and ways around this filter or into the kernel that no command needs.
NEVER: Final = ("io_uring_setup", "add_key", "request_key", "keyctl", "bpf", "perf_event_open")
SHARED_MEMORY: Final = ("shmget", "msgget", "semget")
Step = tuple[int, int, int, int]  # instruction, steps to skip if so, if not, its operand


@dataclass(frozen=True, slots=True)
class Machine:
    """How one kind of processor numbers system calls."""

    audit: int
    numbers: Mapping[str, int]


_NAMES: Final = ("socket", "socketpair", *SHARED_MEMORY, *NEVER)


def _make_machine(audit: int, *numbers: int) -> Machine:
    return Machine(audit, dict(zip(_NAMES, numbers, strict=True)))


MACHINES: Final[Mapping[str, Machine]] = {
    "x86_64": _make_machine(0xC000_003E, 41, 53, 29, 68, 64, 425, 248, 249, 250, 321, 298),
    "aarch64": _make_machine(0xC000_00B7, 198, 199, 194, 186, 190, 425, 217, 218, 219, 280, 241),
}


class _Step(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("so", ctypes.c_uint8),
        ("not_so", ctypes.c_uint8),
        ("operand", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("steps", ctypes.POINTER(_Step)))


def forbid_calls(*, inet: bool, shared_memory: bool) -> None:
    """From now on this process and its children have no socket of this machine.

    ``inet``: it may use networks. ``shared_memory``: it may use System V memory. Needs
    NO_NEW_PRIVILEGES. Raises OSError that names what this machine lacks.
    """
    machine = MACHINES.get(os.uname().machine)
    if machine is None:
        raise OSError(f"no seccomp filter is known for {os.uname().machine}")
    refused = NEVER if shared_memory else (*NEVER, *SHARED_MEMORY)
    networks = (*NETWORKS, AF_NETLINK) if inet else (AF_NETLINK,)
    steps = [*_of_machine(machine), *_of_sockets(machine, networks)]
    for name in refused:
        steps += _refuse_call(machine.numbers[name], errno.EPERM)
    install_filter([*steps, (ANSWER, 0, 0, ALLOW)])


def install_filter(steps: Sequence[Step]) -> None:
    """Each system call from now on is answered by ``steps``. Raises OSError that names seccomp."""
    program = (_Step * len(steps))(*(_Step(*step) for step in steps))
    try:
        kernel.install_filter(SECCOMP, BY_FILTER, _Program(len(steps), program))
    except OSError as error:
        message = f"the kernel takes no seccomp filter: {error.strerror}"
        raise OSError(error.errno, message) from None


def _of_machine(machine: Machine) -> list[Step]:
    """Calls of another numbering, as 32-bit programs make, are not there."""
    return [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, machine.audit),
        (ANSWER, 0, 0, FAIL | errno.ENOSYS),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, 0, 1, X32),
        (ANSWER, 0, 0, FAIL | errno.ENOSYS),
    ]


def _of_sockets(machine: Machine, networks: Sequence[int]) -> list[Step]:
    """A socket is of one of ``networks``; a pair is no datagrams, which could be sent elsewhere."""
    families: list[Step] = [
        (EQUAL, len(networks) - at, 0, family) for at, family in enumerate(networks)
    ]
    return [
        (EQUAL, 0, len(networks) + 3, machine.numbers["socket"]),
        (LOAD, 0, 0, FIRST),
        *families,
        (ANSWER, 0, 0, FAIL | errno.EACCES),
        (ANSWER, 0, 0, ALLOW),
        (EQUAL, 0, 5, machine.numbers["socketpair"]),
        (LOAD, 0, 0, SECOND),
        (MASK, 0, 0, OF_TYPE),
        (EQUAL, 0, 1, DATAGRAMS),
        (ANSWER, 0, 0, FAIL | errno.EACCES),
        (ANSWER, 0, 0, ALLOW),
    ]


def _refuse_call(number: int, why: int) -> list[Step]:
    return [(EQUAL, 0, 1, number), (ANSWER, 0, 0, FAIL | why)]
