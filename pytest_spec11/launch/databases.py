"""Copies of the template database: they take milliseconds, and dropping one uses force."""

from __future__ import annotations

import json
import sys

import psycopg
from psycopg import sql

from pytest_spec11.target import TemplateDatabase

_COPY = sql.SQL("CREATE DATABASE {name} TEMPLATE {template} STRATEGY {strategy}")
_OWNER = "SELECT pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = %s"
_GIVE = sql.SQL("ALTER DATABASE {name} OWNER TO {owner}")
_DROP = sql.SQL("DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def copy(database: TemplateDatabase, name: str) -> None:
    """Create database ``name`` as a copy of the template, with the template's owner."""
    with psycopg.connect(database.admin_dsn, autocommit=True) as admin:
        admin.execute(
            _COPY.format(
                name=sql.Identifier(name),
                template=sql.Identifier(database.template),
                strategy=sql.Identifier(database.strategy),
            )
        )
        owner = admin.execute(_OWNER, (database.template,)).fetchone()
        if owner is not None:
            admin.execute(_GIVE.format(name=sql.Identifier(name), owner=sql.Identifier(owner[0])))


def drop(admin_dsn: str, name: str) -> None:
    """Drop database ``name``, also if somebody is still connected to it."""
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute(_DROP.format(name=sql.Identifier(name)))


if __name__ == "__main__":  # the reaper runs this when the owner was killed
    drop(*json.load(sys.stdin))
