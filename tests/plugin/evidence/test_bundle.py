from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_spec11.errors import BadInput
from pytest_spec11.evidence import bundle, run_files
from pytest_spec11.requirements import catalogue
from tests.plugin.judge.stand import A, happy, small


@pytest.fixture
def run(tmp_path: Path) -> Path:
    stand = happy(small(tmp_path))
    stand.is_mutated = False
    return stand.write(tmp_path / "run")


def test_a_run_is_read_with_its_views(run: Path) -> None:
    found = bundle.load([run])
    (leaf,) = found.leaves
    assert (leaf.role, leaf.run, leaf.name) == ("main", "r1", "run/journal-main.ndjson")
    assert found.flaws == ()
    assert found.damage == ()
    assert found.scenarios == {"S1"}
    assert found.nodes["S1.a"] == (A,)
    assert found.homes[A] == ("run/journal-main.ndjson",)
    assert [*found.sights[A]] == ["api", "sql:app"]


def move_behind_link(path: Path) -> None:
    """The path is a link to what it was."""
    real = path.rename(path.with_name(f"{path.name}-real"))
    path.symlink_to(real)


def linked_file(run: Path) -> None:
    move_behind_link(next(run.glob("blobs/*/*")))


def linked_shelf(run: Path) -> None:
    move_behind_link(next(run.glob("blobs/*")))


def linked_folder(run: Path) -> None:
    move_behind_link(run / "blobs")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda run: (run / "journal-gw0.ndjson").symlink_to(run / "journal-main.ndjson"),
            "not a regular file",
        ),
        (lambda run: (run / "journal-gw0.ndjson").mkdir(), "not a regular file"),
        (lambda run: (run / "journal-main.ndjson").unlink(), "no journal"),
    ],
    ids=["linked journal", "folder", "none"],
)
def test_what_is_no_run_directory_is_bad_input(
    spoil: Callable[[Path], object], said: str, run: Path
) -> None:
    spoil(run)
    with pytest.raises(BadInput, match=said):
        bundle.load([run])


@pytest.mark.parametrize("spoil", [linked_file, linked_shelf, linked_folder])
def test_bytes_behind_a_link_are_no_evidence(spoil: Callable[[Path], object], run: Path) -> None:
    spoil(run)
    assert {flaw.problem for flaw in bundle.load([run]).flaws} == {"linked"}


def test_crowds_are_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_files, "MAX_FILES", 2)
    with pytest.raises(BadInput, match="more than 2 files"):
        bundle.load([run])
    monkeypatch.undo()
    monkeypatch.setattr(run_files, "MAX_JOURNAL", 10)
    with pytest.raises(BadInput, match="at most 10 bytes"):
        bundle.load([run])


def test_no_directory_and_none_at_all_are_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not a directory"):
        bundle.load([tmp_path / "nowhere"])
    with pytest.raises(BadInput, match="no bundle was named"):
        bundle.load([])


def test_the_packaged_catalogue_is_whole() -> None:
    found = catalogue.load()
    assert [scenario.id for scenario in found.scenarios] == [f"S{n:02}" for n in range(16)]
    assert len(found.claims) == 234
    assert {claim.id for claim in found.claims.values() if not claim.is_needed("signoff")} == {
        "S14.live-hosted-seams"
    }
    assert all(claim.is_needed("live-smoke") for claim in found.claims.values())
    assert all(claim.id.startswith(f"{claim.scenario}.") for claim in found.claims.values())
    assert found.closest("S02.replay-same-worklow") == "S02.replay-same-workflow"
    assert found.find("S02.no-such") is None
