from __future__ import annotations

from engine.postgres.server import EmbeddedServer, connect


def test_a_throw_away_server_answers_and_leaves_nothing_behind() -> None:
    with EmbeddedServer() as server:
        with connect(server.dsn("postgres", "postgres")) as admin:
            seen = admin.execute("SELECT current_user").fetchone()
        place = server.place

    assert seen == ("postgres",)
    assert not place.root.exists()
    assert not place.socket_dir.exists()
