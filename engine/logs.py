"""What the processes say on standard error: what happened, and where; nothing of what was asked.

No line holds a body, a header, a row or a key. Bodies and headers are never handed to a logger;
exceptions, which may quote them, are told by their types and places.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Final

from typing_extensions import override

from engine.store.faults import describe_error

FORMAT: Final = "%(levelname)s:%(name)s:%(message)s"
QUIET: Final = ("httpx", "httpcore")  # they tell of each request, with the address it went to
OTHERS: Final = ("dbos",)  # loggers with a handler of their own, unless they have one already


class Lines(logging.Formatter):
    """Records as text. An exception is its chain of types, each with the lines that it passed."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        if record.name == "asyncio":  # below its first line it shows the exception itself
            record.msg, record.args = record.getMessage().partition("\n")[0], None
        return super().format(record)

    @override
    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        return "" if ei[1] is None else "\n".join(_describe_error(ei[1]))


def _describe_error(error: BaseException) -> Iterator[str]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _describe_error(cause)
        yield "which led to"
    yield from (line.rstrip() for line in traceback.format_tb(error.__traceback__))
    yield describe_error(error)


def begin() -> None:
    """From now on this process says what it has to say on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in OTHERS:
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).propagate = False
