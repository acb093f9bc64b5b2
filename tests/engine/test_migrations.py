from __future__ import annotations

from engine.store import migrations


def test_the_pinned_number_is_what_the_installed_dbos_migrates_to() -> None:
    from dbos._migration import get_dbos_migrations  # noqa: PLC0415  # half a second at collection

    shipped = get_dbos_migrations("dbos", use_listen_notify=True)

    assert len(shipped) == migrations.DBOS_SCHEMA
