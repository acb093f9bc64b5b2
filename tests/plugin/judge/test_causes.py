"""A verdict names the cause first, and it names the files that it speaks of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_spec11.evidence import bundle
from pytest_spec11.judge.reasons import CODES
from pytest_spec11.requirements import catalogue
from tests.plugin.judge.catalogues import COMMITTED
from tests.plugin.judge.stand import A, happy, outcome_entry, strict


@pytest.fixture
def claims() -> catalogue.Catalogue:
    return strict()


def test_a_failed_test_comes_before_the_lanes_that_were_not_recorded(
    claims: catalogue.Catalogue,
) -> None:
    stand = happy(claims)
    found = stand.verdict(stand.in_memory([outcome_entry(A, "failed")]))
    said = [each.code for each in found.reasons]
    assert {"E-FAILED", "E-LANE"} <= {*said}
    assert said.index("E-FAILED") < said.index("E-LANE")
    places = [[*CODES].index(code) for code in said if code in CODES]
    assert places == sorted(places)


def test_uncommitted_files_are_named(tmp_path: Path, claims: catalogue.Catalogue) -> None:
    stand = happy(claims)
    stand.bound["dirty"] = True
    stand.more = {"uncommitted": ["a.py", "b.py", "c.py", "d.py", "e.py"]}
    stand.write(tmp_path / "run")
    terms = replace(stand.terms, here={**stand.bound}, uncommitted=("here.py",))

    found = stand.judge_by(bundle.load([tmp_path / "run"]), terms)

    texts = [each.text for each in found.reasons if each.code == "E-DIRTY"]
    assert "the work tree had uncommitted changes: here.py" in texts
    assert "the work tree had uncommitted changes: a.py, b.py, c.py and 2 more" in texts


def test_two_runs_with_one_nonce_are_a_replay(tmp_path: Path, claims: catalogue.Catalogue) -> None:
    stand = happy(claims)
    stand.nonce = "one for all"
    first = stand.write(tmp_path / "first")
    stand.run = "r2"
    second = stand.write(tmp_path / "second")

    found = stand.verdict(bundle.load([first, second]))

    texts = [each.text for each in found.reasons if each.code == "E-REPLAY"]
    assert texts == ["2 runs with one nonce: r1, r2"]


def test_a_record_older_than_its_run_is_a_matter_of_time(claims: catalogue.Catalogue) -> None:
    stand = happy(claims)
    seen = stand.in_memory([])
    times = seen.leaves[0].reading.times
    assert times is not None
    for age_s, is_bad in ((60, False), (121, True)):  # clocks may go back by two minutes
        early = times._replace(earliest=times.first - age_s * 1000)
        leaf = replace(seen.leaves[0], reading=replace(seen.leaves[0].reading, times=early))
        found = stand.verdict(replace(seen, leaves=(leaf,)))
        assert ("E-TIME" in {each.code for each in found.reasons}) == is_bad


def test_a_journal_that_does_not_say_what_was_read_proves_nothing(
    tmp_path: Path, claims: catalogue.Catalogue
) -> None:
    for name, said in (
        ("silent", None),
        ("deaf", {**COMMITTED, "heard": False, "faults": ["open: OSError"]}),
    ):
        stand = happy(claims)
        stand.surroundings = said
        found = stand.verdict(bundle.load([stand.write(tmp_path / name)]))
        assert [each.text for each in found.reasons if each.code == "E-BINDING"] == [
            "could not hear which files its process read: open: OSError"
            if said
            else "does not say which files its process read"
        ]
