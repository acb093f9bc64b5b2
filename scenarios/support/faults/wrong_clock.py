"""A process whose own clock is wrong, while the machine's and the database's are right."""

from __future__ import annotations

from pathlib import Path

# Python runs it before anything of the process; what is kept by C is out of its reach.
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
    """The environment in which a process of Python takes it to be that many hours ago."""
    folder.mkdir()
    text = _BEHIND.format(by_s=hours * 3600)
    (folder / "sitecustomize.py").write_text(text, encoding="utf-8")
    return {"PYTHONPATH": str(folder)}
