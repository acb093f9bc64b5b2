"""A test of the tree that no run has is NO_GO, however it was left out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.plugin.team import PROOF, Team

HEAD = """
import pytest
pytestmark = [pytest.mark.S00, pytest.mark.claim("S00.answers")]
"""
RED = "def test_red(api):\n    assert api.get('/healthz').status == 500\n"
GREEN = "def test_green(api):\n    assert api.get('/healthz').status == 200\n"
CODES = ("E-NOT-COLLECTED", "E-SHADOWED")
IGNORING = "\ncollect_ignore = ['test_red.py']\n"
HIDING = """
def pytest_ignore_collect(collection_path):
    return "red" in collection_path.name or None
"""
# Ways to keep test_red.py, which matches the patterns of the project, out of a run.
WAYS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ignored": ("", ("--ignore=test_red.py",)),
    "ignored by a glob": ("", ("--ignore-glob=*red*",)),
    "another path": ("", ("test_proof.py",)),
    "other patterns": ("", ("-o", "python_files=test_proof.py")),
    "ignored by a conftest": (IGNORING, ()),
    "ignored by a hook": (HIDING, ()),
}
# Ways to keep a test out of a file that is collected.
SHADOWS = {
    "in a branch": "if True:\n    def test_red(): assert 0\n" + RED.replace("500", "200"),
    "taken over": RED.replace("test_red", "test_one") + "test_one = None\n" + GREEN,
    "in a class that pytest does not collect": "class TestAll:\n    def __init__(self): ...\n"
    "    def test_red(self, api):\n        assert api.get('/healthz').status == 500\n" + GREEN,
    "in a class within": "class TestAll:\n    class Inner:\n        def test_red(self): assert 0\n"
    + GREEN,
    "imported": "from base import *\n" + RED.replace("500", "200"),
}
SOUND = (
    HEAD
    + """
import unittest

def within(function):
    def run(api):
        return function(api)
    return run

@within
def test_is_decorated(api):
    assert api.get("/healthz").status == 200

@pytest.fixture
def test_client(api):
    return api

class Shared:
    def test_is_inherited(self, api):
        assert api.get("/healthz").status == 200

class TestOne(Shared):
    class TestInner:
        @pytest.mark.parametrize("word", ["a[b", "c"])
        def test_many(self, test_client, word):
            assert test_client.get("/healthz").status == 200

class Old(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def take(self, api):
        self.api = api

    def test_of_unittest(self):
        assert self.api.get("/healthz").status == 200

def build():
    def test_is_no_test():
        raise LookupError
    return test_is_no_test
"""
)


def find_left_out(ours: Team, *args: str) -> dict[str, list[str]]:
    """What the gate says of tests that were left out, by place."""
    ours.commit()
    ours.run("--spec11-scope", "signoff", *args)
    reasons = ours.reasons()
    return {place: codes for place, codes in reasons.items() if {*codes} & {*CODES}}


@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_was_kept_out_is_named(way: str, team: Callable[..., Team]) -> None:
    hook, args = WAYS[way]
    ours = team()
    ours.write("test_red.py", HEAD + RED)
    ours.write("conftest.py", (ours.path / "conftest.py").read_text() + hook)
    assert find_left_out(ours, *args) == {"test_red.py": ["E-NOT-COLLECTED"]}


@pytest.mark.parametrize("way", SHADOWS)
def test_a_test_that_was_kept_out_of_its_file_is_named(way: str, team: Callable[..., Team]) -> None:
    ours = team()
    ours.write("base.py", RED)
    ours.write("test_more.py", HEAD + SHADOWS[way])
    found = find_left_out(ours, "-W", "ignore", "-o", "pythonpath=.")
    assert [*found.values()] == [["E-SHADOWED"]]
    assert next(iter(found)).startswith("test_more.py::")


def test_what_a_run_deselects_is_named_until_another_run_has_it(team: Callable[..., Team]) -> None:
    ours = team(PROOF + "\ndef test_of_no_claim():\n    assert 1 + 1 == 2\n")
    place = "test_proof.py::test_of_no_claim"
    assert find_left_out(ours, "-m", "S00 or S01") == {place: ["E-NOT-COLLECTED"]}
    ours.run("--spec11-scope", "signoff", "-k", "of_no_claim or takes_orders")
    both = ours.verdict(*map(str, ours.bundles))
    assert place not in {each["subject"] for each in both["reasons"]}
    ours.run("--spec11-scope", "signoff", "-m", "S00")
    first, _, third = map(str, ours.bundles)
    halves = ours.verdict(first, third)
    assert place in {each["subject"] for each in halves["reasons"]}


@pytest.mark.parametrize("more", [(), ("-n", "2")])
def test_every_sound_shape_is_found(more: tuple[str, ...], team: Callable[..., Team]) -> None:
    ours = team()
    ours.write("test_shapes.py", SOUND)
    assert find_left_out(ours, *more) == {}
    defined = {each["place"] for one in ours.records("collected") for each in one["defined"]}
    assert {each.partition("::")[2] for each in defined if "shapes" in each} == {
        "test_is_decorated",
        "Shared::test_is_inherited",
        "TestOne::TestInner::test_many",
        "Old::test_of_unittest",
    }


def test_a_policy_may_say_which_folders_prove(team: Callable[..., Team]) -> None:
    ours = team()
    (ours.path / "proofs").mkdir()
    ours.write("proofs/test_a.py", HEAD + GREEN)
    ours.write("spec11.toml", '[release]\ntests = ["proofs"]\n')
    assert find_left_out(ours, "proofs") == {}
