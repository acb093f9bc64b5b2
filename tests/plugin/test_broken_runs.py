"""What is left of a run that was cut short or tampered with never adds up to GO."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from tests.plugin.team import CONFTEST, PROOF, Team, make_team

ENDS_EARLY = (
    PROOF
    + """
@pytest.mark.S01
@pytest.mark.claim("S01.takes-orders")
def test_the_end(api):
    assert api.get("/healthz").status == 200
    pytest.exit("enough", returncode=0)

@pytest.mark.S01
@pytest.mark.claim("S01.takes-orders")
def test_never_reached(api):
    assert api.get("/healthz").status == 500
"""
)
# Beyond this size every write fails, as on a full disk.
FULL = """
import resource, signal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

def pytest_collection_finish():
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """A team whose evidence is GO, so that whatever is done to a copy of it is to blame."""
    ours = make_team(tmp_path_factory.mktemp("whole"))
    ours.commit()
    assert ours.prove().status == 0
    assert ours.gate().status == 0
    return ours


@pytest.fixture
def proven(whole: Team, tmp_path: Path) -> Team:
    """A copy to be spoilt."""
    return Team(shutil.copytree(whole.path, tmp_path / "copy"))


def test_a_copy_is_as_good_as_the_first(proven: Team) -> None:
    assert proven.gate().status == 0


def codes(ours: Team) -> set[str]:
    found = ours.gate()
    assert found.status == 1
    assert "\nNO_GO for the release: " in found.out
    return {code for each in ours.reasons().values() for code in each}


def test_half_a_journal_is_no_go(proven: Team) -> None:
    path = proven.bundle / "journal-main.ndjson"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert {"E-TRUNCATED", "E-UNSEALED"} <= codes(proven)


def test_a_line_taken_out_is_no_go(proven: Team) -> None:
    path = proven.bundle / "journal-main.ndjson"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3] + lines[4:]))
    assert "E-CHAIN" in codes(proven)


def test_edited_bytes_are_no_go(proven: Team) -> None:
    blob = next(proven.bundle.glob("blobs/*/*"))
    blob.write_bytes(b"{}")
    assert codes(proven) == {"E-DIGEST"}


def test_edited_bytes_under_a_fitting_name_are_no_go(proven: Team) -> None:
    blob = next(proven.bundle.glob("blobs/*/*"))
    name = sha256(b"{}").hexdigest()
    place = proven.bundle / "blobs" / name[:2] / name
    place.parent.mkdir(exist_ok=True)
    blob.rename(place)
    place.write_bytes(b"{}")
    assert codes(proven) == {"E-REF"}


def test_an_edit_of_the_tree_after_the_run_is_no_go(proven: Team) -> None:
    proven.write("system.py", "# another system\n")
    assert codes(proven) == {"E-DIRTY", "E-TREE"}
    proven.commit()
    assert codes(proven) == {"E-COMMIT", "E-TREE"}


def test_the_evidence_of_an_earlier_commit_is_no_go(proven: Team) -> None:
    (proven.path / "test_proof.py").rename(proven.path / "test_other.py")
    proven.commit()
    assert {"E-COMMIT", "E-TREE"} <= codes(proven)


def test_an_early_end_with_status_0_is_no_success(team: Callable[..., Team]) -> None:
    ours = team(ENDS_EARLY)
    found = ours.run()
    reasons = ours.reasons(scope="demo")
    assert found.status == 1
    assert reasons["S01.takes-orders"] == ["E-ERROR", "E-NOT-RUN"]
    assert reasons["test_proof.py::test_never_reached"] == ["E-CONSERVATION"]


def test_a_full_disk_is_no_success(team: Callable[..., Team]) -> None:
    ours = team()
    ours.write("conftest.py", CONFTEST + FULL)
    found = ours.run()
    assert found.status not in {0, 5}
    assert "File too large" in found.out + found.err
    assert {"E-UNSEALED", "E-CONSERVATION"} <= {
        code for each in ours.reasons(scope="demo").values() for code in each
    }


def test_a_collection_error_beside_green_tests_is_no_go(proven: Team) -> None:
    proven.write("test_broken.py", "import no_such_module\n")
    proven.commit()
    found = proven.run("--continue-on-collection-errors", "--spec11-scope", "signoff")
    assert found.status == 1
    assert "3 passed, 1 error" in found.out
    assert codes(proven) == {"E-CONSERVATION", "E-WEAK-ORACLE"}


def test_a_run_that_changes_its_own_tree_is_no_go(team: Callable[..., Team]) -> None:
    ours = team(PROOF + "    open('left-over.txt', 'w').close()\n")
    ours.commit()
    ours.run("--spec11-scope", "signoff")
    assert codes(ours) == {"E-DIRTY", "E-TREE", "E-WEAK-ORACLE"}
    assert json.loads(ours.gate("--json", str(ours.bundle)).out)["binding"]["dirty"] is True
