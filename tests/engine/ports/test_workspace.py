"""Files in the jail: whole or not at all, and never a byte outside, whatever is put in the way."""

from __future__ import annotations

import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.errors import RunFailed
from engine.ports.workspace import Found, Workspace
from engine.ports.workspace.directory import LARGEST, Directory

KEY = "spec11-0123456789abcdef"
SOMEBODY = 12345  # whom root may give a file to
STAGE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from engine.ports.workspace.directory import Directory
Directory(Path(sys.argv[1])).stage(sys.argv[2], b"torn", sys.argv[3])
os.kill(os.getpid(), signal.SIGKILL)
"""
Plant = Callable[[Path, Path], str]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory next to the workspace, with a file that nobody may touch."""
    made = tmp_path / "outside"
    made.mkdir()
    (made / "file").write_bytes(b"not yours")
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace that is not there yet."""
    return tmp_path / "workspace"


@pytest.fixture
def workspace(root: Path) -> Workspace:
    return Directory(root)


def write(workspace: Workspace, path: str, content: bytes) -> None:
    staged = workspace.stage(path, content, KEY)
    staged.commit()
    staged.drop()


def list_files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def test_a_file_that_is_not_there_is_not_an_empty_file(workspace: Workspace, root: Path) -> None:
    path = workspace.place(".tmp/a/b/c.txt")
    assert workspace.read(path) == Found(None, 3)

    write(workspace, path, b"")

    assert workspace.read(path) == Found(b"", 0)
    assert workspace.read(workspace.place(".tmp/a/other")) == Found(None, 0)
    assert path == str(root / ".tmp/a/b/c.txt")


def test_a_write_keeps_mode_and_owner_and_leaves_nothing_beside_the_file(
    workspace: Workspace, root: Path
) -> None:
    target = root / ".tmp" / "run.sh"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"old")
    owner = SOMEBODY if os.geteuid() == 0 else os.geteuid()
    os.chown(target, owner, -1)
    target.chmod(0o754)

    write(workspace, str(target), "neu ü\r\n".encode())

    assert target.read_bytes() == b"neu \xc3\xbc\r\n"
    assert (stat.S_IMODE(target.stat().st_mode), target.stat().st_uid) == (0o754, owner)
    assert list_files(root) == [".tmp", ".tmp/run.sh"]


def test_what_was_made_for_a_file_goes_with_it(workspace: Workspace, root: Path) -> None:
    (root / ".tmp").mkdir(parents=True)
    path = workspace.place(".tmp/a/b/c.txt")
    made = workspace.read(path).missing
    write(workspace, path, b"new")

    workspace.delete(path)
    workspace.tidy(path, KEY, made)
    workspace.delete(path)
    workspace.tidy(path, KEY, made)

    assert made == 2
    assert list_files(root) == [".tmp"]


def test_directories_that_hold_something_else_stay(workspace: Workspace, root: Path) -> None:
    path = workspace.place(".tmp/a/b/c.txt")
    write(workspace, path, b"new")
    (root / ".tmp/a/theirs").write_bytes(b"theirs")

    workspace.delete(path)
    workspace.tidy(path, KEY, 3)

    assert list_files(root) == [".tmp", ".tmp/a", ".tmp/a/theirs"]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_only_so_many_directories_go(workspace: Workspace, root: Path, count: int) -> None:
    path = workspace.place(".tmp/a/b/c.txt")
    write(workspace, path, b"new")
    workspace.delete(path)

    workspace.tidy(path, KEY, count)

    assert list_files(root) == [".tmp", ".tmp/a", ".tmp/a/b"][: 3 - count]


def _linked_file(root: Path, outside: Path) -> str:
    (root / ".tmp/link").symlink_to(outside / "file")
    return ".tmp/link"


def _dangling_link(root: Path, outside: Path) -> str:
    (root / ".tmp/link").symlink_to(outside / "not there")
    return ".tmp/link"


def _link_within(root: Path, _: Path) -> str:
    (root / ".tmp/real").write_bytes(b"")
    (root / ".tmp/link").symlink_to("real")
    return ".tmp/link"


def _linked_directory(root: Path, outside: Path) -> str:
    (root / ".tmp/dir").symlink_to(outside)
    return ".tmp/dir/file"


def _linked_deep(root: Path, outside: Path) -> str:
    (root / ".tmp/a").mkdir()
    (root / ".tmp/a/dir").symlink_to(outside)
    return ".tmp/a/dir/new/file"


def _linked_jail(root: Path, outside: Path) -> str:
    (root / ".tmp").rmdir()
    (root / ".tmp").symlink_to(outside)
    return ".tmp/file"


def _directory(root: Path, _: Path) -> str:
    (root / ".tmp/dir").mkdir()
    return ".tmp/dir"


def _pipe(root: Path, _: Path) -> str:
    os.mkfifo(root / ".tmp/pipe")
    return ".tmp/pipe"


def _socket(root: Path, _: Path) -> str:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(root / ".tmp/s"))
    return ".tmp/s"


def _file_as_directory(root: Path, _: Path) -> str:
    (root / ".tmp/file").write_bytes(b"")
    return ".tmp/file/below"


def _long_name(_: Path, __: Path) -> str:
    return f".tmp/{'n' * 256}"


@pytest.mark.parametrize(
    "plant",
    [
        _linked_file, _dangling_link, _link_within, _linked_directory, _linked_deep, _linked_jail,
        _directory, _pipe, _socket, _file_as_directory, _long_name,
    ],
)  # fmt: skip
def test_what_is_no_file_in_the_jail_is_neither_read_nor_written(
    workspace: Workspace, root: Path, outside: Path, plant: Plant
) -> None:
    (root / ".tmp").mkdir(parents=True)
    path = workspace.place(plant(root, outside))
    before = list_files(root), list_files(outside)

    for work in (
        lambda: workspace.read(path),
        lambda: workspace.stage(path, b"mine", KEY),
        lambda: workspace.delete(path),
    ):
        with pytest.raises(RunFailed) as refused:
            work()
        assert str(refused.value) == f"PATCH_PATH_NOT_ALLOWED:{path}"
    assert (list_files(root), list_files(outside)) == before
    assert (outside / "file").read_bytes() == b"not yours"


def test_a_linked_workspace_is_where_it_really_is(tmp_path: Path, outside: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(outside)

    assert Directory(link).place(".tmp/a") == str(outside / ".tmp/a")


@pytest.fixture
def staged_path(workspace: Workspace, root: Path) -> str:
    """A file in a directory of the jail."""
    path = workspace.place(".tmp/dir/file")
    write(workspace, path, b"old")
    assert list_files(root) == [".tmp", ".tmp/dir", ".tmp/dir/file"]
    return path


def test_a_directory_swapped_for_a_link_before_the_rename_is_noticed(
    workspace: Workspace, root: Path, outside: Path, staged_path: str
) -> None:
    staged = workspace.stage(staged_path, b"new", KEY)
    (root / ".tmp/dir").rename(root / ".tmp/moved")
    (root / ".tmp/dir").symlink_to(outside)

    with pytest.raises(RunFailed, match="PATCH_PATH_NOT_ALLOWED"):
        staged.commit()
    staged.drop()

    assert (outside / "file").read_bytes() == b"not yours"
    assert (root / ".tmp/moved/file").read_bytes() == b"old"
    assert list_files(outside) + list_files(root / ".tmp/moved") == ["file", "file"]


def test_a_directory_moved_out_of_the_jail_before_the_rename_is_noticed(
    workspace: Workspace, root: Path, outside: Path, staged_path: str
) -> None:
    staged = workspace.stage(staged_path, b"new", KEY)
    (root / ".tmp/dir").rename(outside / "dir")
    (root / ".tmp/dir").mkdir()

    with pytest.raises(RunFailed, match="PATCH_PATH_NOT_ALLOWED"):
        staged.commit()
    staged.drop()

    assert (outside / "dir/file").read_bytes() == b"old"
    assert list_files(root) == [".tmp", ".tmp/dir"]


def test_a_file_swapped_for_a_link_before_the_rename_is_noticed(
    workspace: Workspace, root: Path, outside: Path, staged_path: str
) -> None:
    staged = workspace.stage(staged_path, b"new", KEY)
    (root / ".tmp/dir/file").unlink()
    (root / ".tmp/dir/file").symlink_to(outside / "file")

    with pytest.raises(RunFailed, match="PATCH_PATH_NOT_ALLOWED"):
        staged.commit()
    staged.drop()

    assert (outside / "file").read_bytes() == b"not yours"


def test_a_crash_between_staging_and_rename_leaves_the_file_and_is_swept_up(
    workspace: Workspace, root: Path, staged_path: str
) -> None:
    words = [sys.executable, "-c", STAGE_AND_DIE, str(root), staged_path, KEY]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL  # noqa: S603  # our own words only
    left = set(list_files(root / ".tmp/dir")) - {"file"}
    assert len(left) == 1
    assert (root / ".tmp/dir" / left.pop()).read_bytes() == b"torn"
    assert workspace.read(staged_path) == Found(b"old", 0)

    write(workspace, staged_path, b"new")

    assert list_files(root / ".tmp/dir") == ["file"]
    assert workspace.read(staged_path) == Found(b"new", 0)


def test_tidying_sweeps_up_what_was_staged_under_that_key_alone(
    workspace: Workspace, root: Path, staged_path: str
) -> None:
    late = workspace.stage(staged_path, b"late", KEY)
    other = workspace.stage(staged_path, b"other", "spec11-fedcba9876543210")

    workspace.tidy(staged_path, KEY, 0)

    with pytest.raises(RunFailed, match="PATCH_IO_FAILED"):
        late.commit()
    late.drop()
    other.commit()
    other.drop()
    assert workspace.read(staged_path) == Found(b"other", 0)
    assert list_files(root / ".tmp/dir") == ["file"]


def test_a_file_too_large_to_be_kept_is_not_replaced(workspace: Workspace, root: Path) -> None:
    path = workspace.place(".tmp/large")
    write(workspace, path, b"")
    os.truncate(path, LARGEST)
    assert len(workspace.read(path).content or b"") == LARGEST
    os.truncate(path, LARGEST + 1)

    with pytest.raises(RunFailed, match="PATCH_PREIMAGE_TOO_LARGE:"):
        workspace.read(path)

    assert (root / ".tmp/large").stat().st_size == LARGEST + 1


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond ``size`` bytes meanwhile."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_the_file_system_refuses_fails_the_run_and_leaves_no_trace(
    workspace: Workspace, root: Path
) -> None:
    path = workspace.place(".tmp/full")
    write(workspace, path, b"old")

    with largest_file(1000), pytest.raises(RunFailed) as refused:
        workspace.stage(path, b"x" * 2000, KEY)

    assert str(refused.value) == f"PATCH_IO_FAILED:{path}: File too large"
    assert list_files(root) == [".tmp", ".tmp/full"]
    assert workspace.read(path) == Found(b"old", 0)


def test_a_reader_sees_the_old_or_the_new_and_nothing_else(
    workspace: Workspace, root: Path
) -> None:
    old, new = b"o" * 2**20, b"n" * 2**20
    path = workspace.place(".tmp/read/me")
    write(workspace, path, old)
    over, seen = threading.Event(), Counter[bytes]()

    def read() -> None:
        while not over.wait(0.001):
            seen[(root / ".tmp/read/me").read_bytes()] += 1

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(25):
            write(workspace, path, new)
            write(workspace, path, old)
    finally:
        over.set()
        reader.join()
    assert set(seen) == {old, new}
    assert min(seen.values()) > 3
