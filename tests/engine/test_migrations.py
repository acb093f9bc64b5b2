from __future__ import annotations

from dbos._migration import get_dbos_migrations

from engine.store import migrations


def test_the_pinned_number_is_what_the_installed_dbos_migrates_to() -> None:
    shipped = get_dbos_migrations("dbos", use_listen_notify=True)

    assert len(shipped) == migrations.DBOS_SCHEMA
