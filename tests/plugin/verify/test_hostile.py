"""Whatever a file holds, looking at it is bounded, and nothing of it gets out."""

from __future__ import annotations

import resource
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_spec11.cli import main
from pytest_spec11.verify import store, verify
from tests.plugin.releases import Release

MIB = 1 << 20


def bomb(archive: zipfile.ZipFile) -> None:
    archive.writestr("runs/r/journal-main.ndjson", bytes(300 * MIB), zipfile.ZIP_DEFLATED)


def climbing(archive: zipfile.ZipFile) -> None:
    archive.writestr("runs/../../journal-main.ndjson", b"{}")


def absolute(archive: zipfile.ZipFile) -> None:
    archive.writestr("/journal-main.ndjson", b"{}")


def add_link(archive: zipfile.ZipFile) -> None:
    member = zipfile.ZipInfo("runs/r/journal-main.ndjson")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(member, b"/etc/passwd")


def twice(archive: zipfile.ZipFile) -> None:
    for content in (b"one", b"other"):
        archive.writestr("runs/r/journal-main.ndjson", content)


def packed_oddly(archive: zipfile.ZipFile) -> None:
    archive.writestr("runs/r/journal-main.ndjson", b"{}", zipfile.ZIP_LZMA)


def crowd(archive: zipfile.ZipFile) -> None:
    for number in range(40):
        archive.writestr(f"runs/r/{number}", b"")


def nothing(archive: zipfile.ZipFile) -> None:
    archive.writestr("readme.txt", b"hello")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "fill", [bomb, climbing, absolute, add_link, twice, packed_oddly, crowd, nothing]
)
def test_a_hostile_archive_is_bad_input_and_leaves_nothing(
    fill: Callable[[zipfile.ZipFile], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAX_FILES", 30)
    path = tmp_path / "hostile.spec11"
    with zipfile.ZipFile(path, "w") as archive:
        fill(archive)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert main(["verify", str(path)]) == 3
    assert main(["import", str(path), "--dir", str(tmp_path / "in")]) == 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    assert sorted(each.name for each in tmp_path.iterdir()) == ["hostile.spec11"]


DEEP = b"[" * 200_000 + b"]" * 200_000


@pytest.mark.parametrize(
    "content",
    [
        b'{"at":1,"data":{"x":' + DEEP + b'},"kind":"note","prev":"","seq":0}\n',
        b"9" * 5_000 + b"\n",
        b'{"at":NaN}\n',
        b"\x00" * 100_000,
        b"{}" * 3 * MIB,
        b"\n" * 1000,
    ],
    ids=["deep", "digits", "nan", "zeros", "one long line", "newlines"],
)
def test_a_hostile_journal_is_no_go(content: bytes, tmp_path: Path) -> None:
    release = Release(tmp_path / "bundle" / "r1")
    release.sign_off()
    (release.folder / "journal-main.ndjson").write_bytes(content)
    report = verify(tmp_path / "bundle")
    assert report.verdict == "NO_GO"
    assert any("journal-main.ndjson" in each.where for each in report.findings)
    assert main(["gate", str(release.folder)]) == 1


def test_a_hostile_document_is_no_go(tmp_path: Path) -> None:
    release = Release(tmp_path / "bundle" / "r1")
    release.sign_off()
    for name in ("signoff.json", "r1/kills.json", "r1/lane-quick.json"):
        path = tmp_path / "bundle" / name
        whole = path.read_bytes()
        for content in (b"", DEEP, b"{}", b"[1]", b'{"sum":1,"sum":2}', b"\xff", whole + b" x"):
            path.write_bytes(content)
            report = verify(tmp_path / "bundle")
            assert report.verdict == "NO_GO", (name, content[:10])
        path.write_bytes(whole)
    assert verify(tmp_path / "bundle").verdict == "GO"


def test_a_folder_of_links_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "journal-main.ndjson").symlink_to("/etc/passwd")
    assert main(["verify", str(tmp_path)]) == 3
    (tmp_path / "endless").symlink_to(tmp_path)
    assert main(["verify", str(tmp_path)]) == 3
