"""The socket on which the api-shim listens."""

from __future__ import annotations

import errno
import socket
from typing import Final

from engine.errors import InUse, Misconfigured

BACKLOG: Final = 128


def open_listener(host: str, port: int, backlog: int = BACKLOG) -> socket.socket:
    """A socket that listens. Raises InUse for a taken port, Misconfigured for a place not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InUse(f"PORT={port} is in use by another process") from error
        where = f"SPEC11_HOST={host!r} PORT={port}"
        raise Misconfigured(f"{where}: {error.strerror}") from error
