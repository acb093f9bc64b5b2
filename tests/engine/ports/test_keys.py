from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from engine.ports.keys import Filed, keys

ONE, TWO = "first-token-of-the-file", "second-token-of-the-file"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "tokens"
    made.write_text(f"{ONE}\n")
    return made


def test_commas_separate_keys() -> None:
    assert keys(f"{ONE}, {TWO}").now() == (ONE.encode(), TWO.encode())


@pytest.mark.parametrize("text", [f"{ONE},", ",", f"{ONE},short", f"{ONE};{TWO}"])
def test_every_key_of_a_list_has_to_be_sound(text: str) -> None:
    with pytest.raises(ValueError, match=r"shorter|letters"):
        keys(text)


def test_a_file_holds_a_key_a_line(file: Path) -> None:
    file.write_text(f"{ONE}\n\n  {TWO}  \n")

    assert keys(f"@{file}").now() == (ONE.encode(), TWO.encode())


@pytest.mark.parametrize("settled", [True, False], ids=["settled", "just changed"])
def test_a_changed_file_is_read_anew(file: Path, *, settled: bool) -> None:
    held = keys(f"@{file}")
    before = file.stat()
    file.write_text(f"{ONE.replace('first', 'third')}\n")  # as many bytes as before
    if settled:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns - 10**10))
    else:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert held.now() == (b"third-token-of-the-file",)


def test_a_replaced_file_is_read_anew(file: Path) -> None:
    held = keys(f"@{file}")
    beside = file.with_name("new")
    beside.write_text(f"{TWO}\n")
    beside.rename(file)

    assert held.now() == (TWO.encode(),)


def test_while_the_file_is_unsound_nobody_gets_in_and_the_log_says_so_once(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held = Filed(file)
    file.write_text("short\n")

    with caplog.at_level(logging.ERROR):
        assert [held.now() for _ in range(3)] == [(), (), ()]
    assert caplog.messages == [
        f"nobody gets in by {file}: it is shorter than 16 characters",
    ]
    file.unlink()
    assert held.now() == ()
    file.write_text(f"{TWO}\n")
    assert held.now() == (TWO.encode(),)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "without a key"),
        (b"short\n", "shorter than 16"),
        (b"\xff" * 20, "lines of ASCII"),
        (b"x" * 65537, "more than 65536 bytes"),
    ],
)
def test_an_unsound_file_is_refused_at_the_start(file: Path, content: bytes, fault: str) -> None:
    file.write_bytes(content)

    with pytest.raises(ValueError, match=fault):
        keys(f"@{file}")


def test_what_is_no_file_is_refused_at_the_start(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for path, fault in (("none", "No such file"), (".", "regular"), ("pipe", "regular")):
        with pytest.raises(ValueError, match=fault):
            keys(f"@{tmp_path / path}")
