"""Markers that name what a test proves: what is wrong with them ends the collection."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.plugin.team import Team

FAULTS = {
    "@pytest.mark.S00\n@pytest.mark.claim('S00.anwsers')": (
        "test_proof.py::test_it: no claim 'S00.anwsers' in the catalogue;"
        " did you mean 'S00.answers'?"
    ),
    "@pytest.mark.S00\n@pytest.mark.claim('zzz')": (
        "test_proof.py::test_it: no claim 'zzz' in the catalogue"
    ),
    "@pytest.mark.claim('S00.answers')": (
        "test_proof.py::test_it: claim 'S00.answers' needs marker S00; the test has none"
    ),
    "@pytest.mark.S01\n@pytest.mark.claim('S00.answers')": (
        "test_proof.py::test_it: claim 'S00.answers' needs marker S00; the test has S01"
    ),
    "@pytest.mark.S00\n@pytest.mark.claim": "test_proof.py::test_it: claim takes one claim id",
    "@pytest.mark.S00\n@pytest.mark.claim(7)": "test_proof.py::test_it: claim takes one claim id",
    "@pytest.mark.S00\n@pytest.mark.claim('S00.answers', 'S00.lives')": (
        "test_proof.py::test_it: claim takes one claim id"
    ),
}


@pytest.mark.parametrize("marks", FAULTS)
def test_a_claim_that_cannot_be_is_a_collection_error(
    marks: str, team: Callable[..., Team]
) -> None:
    ours = team(f"import pytest\n\n{marks}\ndef test_it(api):\n    assert api\n")
    found = ours.run()
    assert found.status == 2
    assert FAULTS[marks] in found.out
    assert ours.bundles == []


def test_a_fault_in_a_class_is_named_by_its_test(team: Callable[..., Team]) -> None:
    ours = team(
        "import pytest\n\n@pytest.mark.S00\nclass TestIt:\n"
        "    @pytest.mark.parametrize('x', [1, 2])\n"
        "    @pytest.mark.claim('S00.a')\n    def test_a(self, x): ...\n"
    )
    found = ours.run()
    assert found.status == 2
    for number in (1, 2):
        assert f"test_proof.py::TestIt::test_a[{number}]: no claim 'S00.a'" in found.out


def test_a_test_that_hides_another_is_a_collection_error(team: Callable[..., Team]) -> None:
    ours = team(
        "import pytest\n\npytestmark = [pytest.mark.S00, pytest.mark.claim('S00.answers')]\n"
        "def test_it(api):\n    assert api.get('/healthz').status == 500\n"
        "def test_it(api):\n    assert api.get('/healthz').status == 200\n"
        "class TestMore:\n    def test_a(self): ...\n    def test_b(self): ...\n"
        "    def test_a(self): ...\n"
    )
    found = ours.run()
    assert found.status == 2
    assert "test_proof.py::test_it: line 6 takes the name of the test in line 4" in found.out
    assert "TestMore::test_a: line 11 takes the name of the test in line 9" in found.out


def test_names_that_only_look_alike_hide_nothing(team: Callable[..., Team]) -> None:
    ours = team(
        "import pytest\n\n@pytest.mark.S00\nclass TestA:\n"
        "    @pytest.mark.claim('S00.answers')\n"
        "    def test_it(self, api):\n        assert api.get('/healthz').status == 200\n"
        "class TestB:\n    def test_it(self): ...\n"
        "def test_it(): ...\n"
    )
    assert ours.run().status == 0
