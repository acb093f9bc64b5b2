from __future__ import annotations

import time

import pytest

from engine.core.pointers import resolve_pointer
from engine.core.redaction import is_redacted, redact

SECRET = "a-secret-of-this-process"  # noqa: S105  # of this test


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"x{SECRET}y", "x[redacted]y"),
        ("https://me:pass@host/x", "https://me:[redacted]@host/x"),
        ("postgresql://:pass@/db", "postgresql://:[redacted]@/db"),
        ("host=h user=u password=geheim x", "host=h user=u password=[redacted] x"),
        ("password='ge \\' heim' dbname=d", "password=[redacted] dbname=d"),
        ("log in with password=geheim, please", "log in with password=[redacted] please"),
        ("PASSWORD=p(ss", "PASSWORD=[redacted]"),
        ('Pwd="ge heim" next', "Pwd=[redacted] next"),
        ("passwd='ge heim'", "passwd=[redacted]"),
        ("Authorization: Bearer abcdefgh.ijklmnop==", "Authorization: Bearer [redacted]"),
        ("Basic dXNlcjpwYXNzd29yZA==", "Basic [redacted]"),
    ],
)
def test_a_secret_is_taken_out_wherever_it_stands(text: str, shown: str) -> None:
    value, places = redact({"a": [text, 1, None], text: "key"}, {SECRET})

    assert value == {"a": [shown, 1, None], shown: "key"}
    assert places == ["/a/0", ""]
    assert redact(value, {SECRET}) == (value, [])


def test_a_place_does_not_tell_the_secret_that_was_its_name() -> None:
    value, places = redact({SECRET: {"x": [SECRET]}}, {SECRET})

    assert (value, places) == ({"[redacted]": {"x": ["[redacted]"]}}, ["", "/[redacted]/x/0"])
    assert [is_redacted(resolve_pointer(value, place)) for place in places] == [True, True]


@pytest.mark.parametrize(
    "text",
    [
        "password = input()",
        "password=input()",
        "connect(user=user, password=getpass.getpass())",
        "a password is needed",
        "https://host:80/path",
        "me@host",
        "Bearer of news",
        "the short one",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text, {"short"}) == (text, [])


@pytest.mark.parametrize(
    "word", ["host=a ", "password='", "://a:", "Bearer ", "password=x ", "a=b=", "://:a"]
)
def test_a_hostile_text_takes_no_long_time(word: str) -> None:
    begun = time.process_time()
    redact(word * (1_000_000 // len(word)), {SECRET})
    assert time.process_time() - begun < 5
