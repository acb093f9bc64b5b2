"""A process with a wrong clock, while the clocks of machine and database are right."""

from __future__ import annotations

from pathlib import Path

# Python runs it before the process's own code; it cannot change the clocks of C code.
_BEHIND = """
import datetime, time

BY = {by_s}
_time, _time_ns, _datetime = time.time, time.time_ns, datetime.datetime
time.time = lambda: _time() - BY
time.time_ns = lambda: _time_ns() - BY * 10**9

class _Kind(type):
    def __instancecheck__(cls, one):
        return isinstance(one, _datetime)

class Behind(_datetime, metaclass=_Kind):
    @classmethod
    def now(cls, tz=None):
        return _datetime.now(tz) - datetime.timedelta(seconds=BY)

    @classmethod
    def utcnow(cls):
        return _datetime.utcnow() - datetime.timedelta(seconds=BY)

datetime.datetime = Behind
"""


def set_clock_back(folder: Path, *, hours: int) -> dict[str, str]:
    """The environment in which a Python process has a clock that is ``hours`` hours behind."""
    folder.mkdir()
    text = _BEHIND.format(by_s=hours * 3600)
    (folder / "sitecustomize.py").write_text(text, encoding="utf-8")
    return {"PYTHONPATH": str(folder)}
