"""Variables that libpq reads from the environment: the operator's shell has them for other work."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Final

PREFIX: Final = "PG"
# How a session reads and writes values, or what it is called. We set these ourselves.
OF_SESSIONS: Final = frozenset(
    {"PGOPTIONS", "PGDATESTYLE", "PGTZ", "PGCLIENTENCODING", "PGGEQO", "PGAPPNAME"}
)


def forget_variables(environment: MutableMapping[str, str], *, is_embedded: bool) -> None:
    """Remove from ``environment`` what would break or redirect our connections.

    The embedded server is reached by its directory alone. To a server of the operator's own, a
    connection string may lack parts that ``PGPASSWORD`` or ``PGSSLROOTCERT`` give, so they stay.
    """
    for name in list(environment):
        if name in OF_SESSIONS or (is_embedded and name.startswith(PREFIX)):
            del environment[name]
