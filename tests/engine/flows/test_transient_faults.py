"""Faults of one statement: which of them the durable engine tries again, and what a run tells."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy
from sqlalchemy.exc import DBAPIError

from engine.flows.durable import open_engine
from engine.store.faults import describe_failure
from engine.store.migrations import sqlalchemy_url


def test_an_error_of_the_database_quotes_no_statement(clone: Callable[[], str]) -> None:
    engine = open_engine(sqlalchemy_url(clone()))
    try:
        with engine.connect() as line, pytest.raises(DBAPIError) as failed:
            line.execute(sqlalchemy.text("SELECT 'a secret' FROM app.nowhere"))
    finally:
        engine.dispose()

    told = describe_failure(failed.value)

    assert "SELECT" in str(failed.value)
    assert told.startswith("the database failed: psycopg.errors.UndefinedTable [42P01]")
    assert "SELECT" not in told


def test_a_canceled_statement_is_a_lost_line(clone: Callable[[], str]) -> None:
    engine = open_engine(sqlalchemy_url(clone()))
    try:
        with engine.connect() as line:
            line.execute(sqlalchemy.text("SET statement_timeout = 1"))
            with pytest.raises(DBAPIError) as failed:
                line.execute(sqlalchemy.text("SELECT pg_sleep(10)"))
    finally:
        engine.dispose()

    assert failed.value.connection_invalidated
