"""A connection string in its one form, so that two can be compared."""

from __future__ import annotations

from psycopg import ProgrammingError, conninfo


def normalised(text: str) -> str:
    """``text``, a libpq connection string or URL, as key=value pairs. Raises ValueError."""
    try:
        parts = conninfo.conninfo_to_dict(text)
    except ProgrammingError as error:
        raise ValueError("not a libpq connection string or URL") from error
    return conninfo.make_conninfo("", **dict(sorted(parts.items())))


def searching(dsn: str, schemas: str) -> str:
    """``dsn`` for a session that finds names without a schema in ``schemas``."""
    given = conninfo.conninfo_to_dict(dsn).get("options") or ""
    return conninfo.make_conninfo(dsn, options=f"{given} -c search_path={schemas}".strip())
