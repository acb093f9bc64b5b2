from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_spec11.errors import BadInput, JournalBroken
from pytest_spec11.evidence import journal
from pytest_spec11.evidence.journal import MAX_LINE, Journal, Record
from pytest_spec11.waiting import GIVE_UP_S

START = {"runId": "r", "nonce": "n", "role": "main", "pid": 1, "binding": {}}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Journal]:
    """A journal with its start and three notes."""
    writer = Journal(tmp_path / "journal-main.ndjson", tmp_path / "blobs")
    writer.start(**START)
    for number in range(3):
        writer.write("note", number=number)
    writer.sync()
    yield writer
    writer.close()


def test_what_was_written_is_read(made: Journal) -> None:
    made.seal(exitStatus=0)
    records: list[Record] = []
    found = journal.read(made.path, records.append)
    assert (found.damage, found.sealed, found.records) == (None, True, 5)
    assert [record.kind for record in records] == ["start", "note", "note", "note", "seal"]
    assert [record.data.get("number") for record in records[1:4]] == [0, 1, 2]
    assert records[-1].data["count"] == 4


def test_a_torn_line_leaves_what_was_whole(made: Journal) -> None:
    made.path.write_bytes(made.path.read_bytes()[:-1])
    found = journal.read(made.path)
    assert (found.damage, found.sealed) == ("torn last line 3", False)
    assert found.records == 3


@pytest.mark.parametrize(
    ("old", "new", "damage"),
    [
        (b'"number":1', b'"number":7', "broken chain at record 3"),
        (b'"seq":2', b'"seq":7', "gap: record 7 where 2 belongs"),
        (b'"kind":"note","prev"', b'"kind": "note","prev"', "line 1 is not canonical JSON"),
        (b'"kind":"note","prev"', b'"kind":"knot","prev"', "record 1: no kind 'knot'"),
        (b'"kind":"note","prev"', b'"kind":"start","prev"', "record 1: start without a proper"),
        (b'{"at":', b'{"zt":', "line 0 is not"),
        (b'"pid":1', b'"pid":true', "record 0: start without a proper pid"),
    ],
)
def test_an_edit_is_named(old: bytes, new: bytes, damage: str, made: Journal) -> None:
    content = made.path.read_bytes()
    assert old in content
    made.path.write_bytes(content.replace(old, new, 1))
    assert (journal.read(made.path).damage or "").startswith(damage)


def test_nothing_follows_the_seal(made: Journal) -> None:
    made.seal(exitStatus=0)
    with pytest.raises(JournalBroken, match="nothing may follow"):
        made.write("note")
    lines = made.path.read_bytes().splitlines(keepends=True)
    made.path.write_bytes(b"".join([*lines, lines[1]]))
    found = journal.read(made.path)
    assert (found.damage, found.sealed) == ("record after the seal", False)


def test_a_seal_that_was_edited_seals_nothing(made: Journal) -> None:
    made.seal(exitStatus=1)
    *lines, seal = made.path.read_bytes().splitlines(keepends=True)
    made.path.write_bytes(b"".join([*lines, seal.replace(b'"exitStatus":1', b'"exitStatus":0')]))
    assert journal.read(made.path).damage == "record 4: the seal was changed"
    body = json.loads(seal)
    assert (body["data"]["count"], body["data"]["exitStatus"]) == (4, 1)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("note", {"what": float("nan")}),
        ("note", {"what": object()}),
        ("note", {"what": "x" * MAX_LINE}),
        ("gossip", {}),
        ("outcome", {"node": "n", "attempt": 1, "outcome": "passed"}),
        (
            "outcome",
            {"node": "n", "attempt": 1, "outcome": "fine", "phases": {}, "claims": [], "voids": []},
        ),
        ("workers", {"expected": [1], "lost": []}),
        ("collected", {"items": [{"node": "n"}], "deselected": [], "defined": [], "selected": []}),
    ],
)
def test_a_record_that_cannot_be_written_whole_breaks_the_journal(
    kind: str, data: dict[str, object], made: Journal
) -> None:
    with pytest.raises(JournalBroken):
        made.write(kind, **data)
    with pytest.raises(JournalBroken):
        made.seal(exitStatus=0)
    made.close()
    assert not journal.read(made.path).sealed


def test_a_file_of_that_name_is_never_written_into(made: Journal, tmp_path: Path) -> None:
    before = made.path.read_bytes()
    with pytest.raises(JournalBroken):
        Journal(made.path, tmp_path / "blobs")
    assert made.path.read_bytes() == before


def test_a_full_disk_breaks_the_journal(made: Journal) -> None:
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = made.path.stat().st_size
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard))
        made.write("note", much="x" * 300)
        with pytest.raises(JournalBroken, match="File too large"):
            made.sync()
        with pytest.raises(JournalBroken):
            made.seal(exitStatus=0)
        with pytest.raises(JournalBroken, match="blob"):
            made.blob(b"y" * (size + 200))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
        made.close()
    assert not journal.read(made.path).sealed
    assert list(made.path.parent.rglob("*.part")) == []


def test_threads_share_one_chain(made: Journal) -> None:
    def write() -> None:
        for number in range(50):
            made.write("note", number=number)
            made.blob(b"the same")

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made.seal(exitStatus=0)
    found = journal.read(made.path)
    assert (found.damage, found.records) == (None, 1 + 3 + 8 * 50 + 1)
    assert len(list(made.path.parent.glob("blobs/*/*"))) == 1


def test_what_cannot_be_opened_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere"):
        journal.read(tmp_path / "nowhere")


# A process that writes a journal and is killed when so many bytes of it have reached the disk.
KILLED = """
import os, signal, sys
from pathlib import Path
from pytest_spec11.evidence.journal import Journal

class Disk:
    def __init__(self, file, left):
        self.file, self.left = file, left

    def write(self, content):
        self.file.write(content[: self.left])
        if len(content) >= self.left:
            self.file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= len(content)

    def __getattr__(self, name):
        return getattr(self.file, name)

def life(folder, left):
    made = Journal(folder / "journal-main.ndjson", folder / "blobs")
    made._file = Disk(made._file, left)
    made.start(runId="r", nonce="n", role="main", pid=1, binding={})
    for number in range(4):
        made.write("note", number=number)
        made.sync()
    made.seal(exitStatus=0)
    os._exit(0)

root, step = Path(sys.argv[1]), int(sys.argv[2])
for left in range(1, int(sys.argv[3]), step):
    if not (child := os.fork()):
        life(root / str(left), left)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
"""


def test_killed_at_any_byte_that_it_writes_a_journal_is_never_sealed(
    made: Journal, tmp_path: Path
) -> None:
    for number in range(3, 4):
        made.write("note", number=number)
    made.seal(exitStatus=0)
    size = made.path.stat().st_size
    words = (sys.executable, "-c", KILLED, str(tmp_path / "killed"), "5", str(size - 5))
    subprocess.run(words, check=True, timeout=GIVE_UP_S)  # noqa: S603  # our own interpreter
    found = {int(path.parent.name): path for path in tmp_path.glob("killed/*/*.ndjson")}
    assert len(found) == len(range(1, size - 5, 5))
    for written, path in found.items():
        content = path.read_bytes()
        reading = journal.read(path)
        assert len(content) == written
        assert not reading.sealed
        assert reading.records == content.count(b"\n")
        assert (reading.damage is None) == content.endswith(b"\n")


def test_text_that_has_no_utf8_is_kept_as_far_as_it_has(made: Journal) -> None:
    made.write("note", said="a\ud800b", more={"\udfff": ["\ud83d", 1]})
    made.seal(exitStatus=0)

    records: list[Record] = []
    found = journal.read(made.path, records.append)
    assert (found.damage, found.sealed) == (None, True)
    assert records[-2].data == {"said": "a\ufffdb", "more": {"\ufffd": ["\ufffd", 1]}}
