"""A connection string in its one form, so that two can be compared."""

from __future__ import annotations

from typing import Final

from psycopg import ProgrammingError, conninfo

IDLE_MS: Final = 4000
# A database or a role may have other defaults; we read what these give.
SPELLING: Final = "-c datestyle=ISO -c intervalstyle=postgres"
ENCODING: Final = "utf8"


def normalise_dsn(text: str) -> str:
    """``text``, a libpq connection string or URL, as key=value pairs. Raises ValueError."""
    try:
        parts = conninfo.conninfo_to_dict(text)
    except ProgrammingError as error:
        raise ValueError("not a libpq connection string or URL") from error
    return conninfo.make_conninfo("", **dict(sorted(parts.items())))


def password(dsn: str) -> str | None:
    """The password in ``dsn``, if there is one."""
    found = conninfo.conninfo_to_dict(dsn).get("password")
    return None if found is None else str(found)


def without_password(dsn: str) -> str:
    """``dsn`` without its password, for places that everybody can read."""
    parts = conninfo.conninfo_to_dict(dsn)
    parts.pop("password", None)
    return conninfo.make_conninfo("", **parts)


def session(dsn: str, name: str) -> str:
    """``dsn`` for sessions of that name; a session that idles inside a transaction ends.

    A frozen process must not lock rows for ever.
    """
    idle = f"-c idle_in_transaction_session_timeout={IDLE_MS}"
    return conninfo.make_conninfo(_add_options(spell_plainly(dsn), idle), application_name=name)


def spell_plainly(dsn: str) -> str:
    """``dsn`` for sessions that read and write values as we do, whatever their defaults are."""
    return conninfo.make_conninfo(_add_options(dsn, SPELLING), client_encoding=ENCODING)


def searching(dsn: str, schemas: str) -> str:
    """``dsn`` with ``schemas`` as the search path."""
    return _add_options(dsn, f"-c search_path={schemas}")


def _add_options(dsn: str, options: str) -> str:
    given = conninfo.conninfo_to_dict(dsn).get("options") or ""
    return conninfo.make_conninfo(dsn, options=f"{given} {options}".strip())
