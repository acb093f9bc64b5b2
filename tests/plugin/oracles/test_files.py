from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from pytest_spec11.oracles.files import Files
from pytest_spec11.oracles.witness import hide_secrets, without_password
from pytest_spec11.saboteurs.saboteur import ActiveSaboteurs
from tests.plugin.oracles.conftest import Notes


def test_bytes_their_absence_and_emptiness_are_readings(tmp_path: Path, notes: Notes) -> None:
    files = Files(notes, ActiveSaboteurs())
    (tmp_path / "a").write_bytes(b"tea")
    (tmp_path / "b").write_bytes(b"")

    assert files.read(tmp_path / "a") == b"tea"
    assert files.sha256(tmp_path / "a") == sha256(b"tea").hexdigest()
    assert files.read(tmp_path / "b") == b""
    assert files.read(tmp_path / "c") is None
    assert files.sha256(tmp_path / "c") is None

    assert [each.empty for each in notes.seen] == [False, False, True, True, True]
    assert [each.body for each in notes.seen] == [b"tea", b"tea", b"", None, None]
    assert notes.last.facts == {"path": str(tmp_path / "c"), "missing": True}


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("postgresql://u:pw@h/d", "postgresql://u:[hidden]@h/d"),
        ("postgresql://:pw@h/d", "postgresql://:[hidden]@h/d"),
        ("host=h password=pw user=u", "host=h password=[hidden] user=u"),
        ("host=h password = 'p w' user=u", "host=h password = [hidden] user=u"),
        ("PASSWORD=pw", "PASSWORD=[hidden]"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("http://h:80/p", "http://h:80/p"),
    ],
)
def test_passwords_of_connection_strings_are_hidden(text: str, hidden: str) -> None:
    assert without_password(text) == hidden


def test_values_of_secret_names_are_hidden() -> None:
    names = ("Authorization", "cookie", "API_TOKEN", "clientSecret", "PGPASSWORD", "x-api-key")
    assert set(hide_secrets((name, "opensesame") for name in names).values()) == {"[hidden]"}
    assert hide_secrets([("accept", "text/html")]) == {"accept": "text/html"}
