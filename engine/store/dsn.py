"""A connection string in its one form, so that two can be compared."""

from __future__ import annotations

from typing import Final

from psycopg import ProgrammingError, conninfo

IDLE_MS: Final = 4000


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
    given = conninfo.conninfo_to_dict(dsn).get("options") or ""
    options = f"{given} -c idle_in_transaction_session_timeout={IDLE_MS}".strip()
    return conninfo.make_conninfo(dsn, application_name=name, options=options)


def searching(dsn: str, schemas: str) -> str:
    """``dsn`` with ``schemas`` as the search path."""
    given = conninfo.conninfo_to_dict(dsn).get("options") or ""
    return conninfo.make_conninfo(dsn, options=f"{given} -c search_path={schemas}".strip())
