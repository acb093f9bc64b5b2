"""Every way not to pass is recorded as what it is, and none of them proves a claim."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.plugin.team import PROOF, Ended, Team, make_team, reruns

HEAD = """
import threading
import pytest

pytestmark = [pytest.mark.S00, pytest.mark.claim("S00.answers")]
"""
# Green to pytest: exit status 0, were it not for the plugin.
HOLLOW = """
def test_observed_nothing():
    assert 1 + 1 == 2

def test_observed_only_silence(api, files):
    assert files.read("no-such-file") is None

def test_asserted_nothing(api):
    api.get("/healthz")

def test_asserted_before_it_looked(api):
    assert api.base_url
    api.get("/healthz")

def test_skipped_inside(api):
    assert api.get("/healthz").status == 200
    pytest.skip("not today")

@pytest.mark.skip
def test_skipped_by_mark(api):
    assert api.get("/healthz").status == 200

@pytest.mark.xfail
def test_xfailed(api):
    assert api.get("/healthz").status == 500

@pytest.mark.xfail(strict=False)
def test_xpassed(api):
    assert api.get("/healthz").status == 200

def test_returned(api):
    return api.get("/healthz").status == 500

def test_returned_after_asserting(api):
    assert api.get("/healthz").status == 200
    return False

@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_failed_in_a_thread(api):
    def check():
        assert api.get("/healthz").status == 500
    assert api.get("/healthz").status == 200
    thread = threading.Thread(target=check)
    thread.start()
    thread.join()

GO_ON = threading.Event()

def test_left_a_thread_running(api):
    assert api.get("/healthz").status == 200
    threading.Thread(target=GO_ON.wait, args=(60,)).start()

def test_had_its_assertion_from_a_thread_of_another_test(api):
    api.get("/healthz")
    GO_ON.set()

def test_skipped_a_part(api, subtests):
    assert api.get("/healthz").status == 200
    with subtests.test("part"):
        pytest.skip("not today")

FIRST = []

def test_passed_the_second_time(api):
    FIRST.append(1)
    assert api.get("/healthz").status == (200 if len(FIRST) == 2 else 500)
"""
RED = """
@pytest.fixture
def bad_setup(api):
    raise RuntimeError("no setup")

@pytest.fixture
def bad_teardown(api):
    yield
    raise RuntimeError("no teardown")

def test_failed(api):
    assert api.get("/healthz").status == 500

def test_failed_in_setup(bad_setup):
    pass

def test_failed_in_teardown(api, bad_teardown):
    assert api.get("/healthz").status == 200

def test_failed_in_a_part(api, subtests):
    assert api.get("/healthz").status == 200
    with subtests.test("part"):
        assert api.get("/healthz").status == 500

@pytest.mark.xfail(strict=True)
def test_passed_against_its_mark(api):
    assert api.get("/healthz").status == 200
"""
HOLLOW_CODES = {
    "observed_nothing": ["E-EMPTY"],
    "observed_only_silence": ["E-EMPTY"],
    "asserted_nothing": ["E-NO-ASSERTION"],
    "asserted_before_it_looked": ["E-NO-ASSERTION"],
    "skipped_inside": ["E-SKIPPED"],
    "skipped_by_mark": ["E-SKIPPED"],
    "xfailed": ["E-XFAIL"],
    "xpassed": ["E-XPASS"],
    "returned": ["E-RETURN"],
    "returned_after_asserting": ["E-RETURN"],
    "failed_in_a_thread": ["E-THREAD"],
    "left_a_thread_running": ["E-THREAD"],
    "had_its_assertion_from_a_thread_of_another_test": ["E-NO-ASSERTION"],
    "skipped_a_part": ["E-SKIPPED"],
    "passed_the_second_time": ["E-FAILED", "E-RERUN"],
}
RED_CODES = {
    "failed": ["E-FAILED"],
    "failed_in_setup": ["E-ERROR"],
    "failed_in_teardown": ["E-ERROR"],
    "failed_in_a_part": ["E-FAILED"],
    "passed_against_its_mark": ["E-FAILED"],
}


def run_team(folder: pytest.TempPathFactory, name: str, tests: str) -> tuple[Team, Ended]:
    ours = make_team(folder.mktemp(name), HEAD + tests)
    ours.write("conftest.py", (ours.path / "conftest.py").read_text() + reruns("second_time"))
    return ours, ours.run("-W", "default")


def codes(ours: Team) -> dict[str, list[str]]:
    """Codes against the claim, by the test that they are about."""
    found: dict[str, list[str]] = {}
    for each in ours.verdict(scope="demo")["reasons"]:
        if each["subject"] == "S00.answers":
            name = each["text"].partition("::test_")[2].partition(" ")[0]
            found.setdefault(name, []).append(each["code"])
    return found


SOUND = """
GO_ON = threading.Event()

@pytest.fixture(scope="session")
def helper():
    thread = threading.Thread(target=GO_ON.wait, args=(60,))
    thread.start()
    yield
    GO_ON.set()
    thread.join()

@pytest.fixture
def healthy(api):
    assert api.get("/healthz").status == 200

def test_beside_the_thread_of_a_fixture(api, helper):
    assert api.get("/healthz").status == 200

def test_asserted_in_threads_of_its_own(api):
    def check():
        assert api.get("/healthz").status == 200
    threads = [threading.Thread(target=check) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

def test_asserted_in_a_fixture(healthy):
    pass

def test_all_parts_passed(api, subtests):
    for path in ("/healthz", "/healthz?again"):
        with subtests.test(path):
            assert api.get("/healthz").status == 200

class TestClass:
    def test_method(self, api):
        assert api.get("/healthz").status == 200
"""


@pytest.fixture(scope="module")
def hollow(tmp_path_factory: pytest.TempPathFactory) -> tuple[Team, Ended]:
    return run_team(tmp_path_factory, "hollow", HOLLOW)


@pytest.fixture(scope="module")
def hollow_codes(hollow: tuple[Team, Ended]) -> dict[str, list[str]]:
    return codes(hollow[0])


@pytest.fixture(scope="module")
def red_codes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return codes(run_team(tmp_path_factory, "red", RED)[0])


@pytest.mark.parametrize("name", HOLLOW_CODES)
def test_a_green_that_proves_nothing_has_a_reason_of_its_own(
    name: str, hollow_codes: dict[str, list[str]]
) -> None:
    assert hollow_codes[name] == HOLLOW_CODES[name]


@pytest.mark.parametrize("name", RED_CODES)
def test_a_red_is_on_record_as_what_it_is(name: str, red_codes: dict[str, list[str]]) -> None:
    assert red_codes[name] == RED_CODES[name]


def test_pytest_itself_calls_none_of_the_hollow_ones_a_failure(
    hollow: tuple[Team, Ended],
) -> None:
    _, found = hollow
    assert " 11 passed, 2 skipped, 1 xfailed, 1 xpassed" in found.out.splitlines()[-1]
    assert found.status == 1
    assert "exit status 1, although no test failed:" in found.out


def test_what_looked_and_asserted_is_proof_wherever_it_did(team: Callable[..., Team]) -> None:
    ours = team(HEAD + SOUND)
    assert ours.run().status == 0
    assert ours.verdict(scope="demo")["claims"]["S00.answers"] == "PASS"


def test_what_a_hook_takes_out_in_silence_is_left_out_all_the_same(
    team: Callable[..., Team],
) -> None:
    ours = team(
        HEAD
        + "\ndef test_stays(api):\n    assert api.get('/healthz').status == 200\n"
        + "\ndef test_goes(api):\n    assert api.get('/healthz').status == 500\n"
    )
    hook = "\ndef pytest_collection_modifyitems(items):\n    items[:] = items[:1]\n"
    ours.write("conftest.py", (ours.path / "conftest.py").read_text() + hook)
    assert ours.run().status == 0
    assert ours.reasons(scope="demo")["S00.answers"] == ["E-DESELECTED"]


def test_an_oracle_without_a_journal_is_no_oracle(team: Callable[..., Team]) -> None:
    ours = team("def test_unmarked(api):\n    assert api.get('/healthz').status == 200\n")
    found = ours.run()
    assert found.status == 1
    assert "NotProvable: no selected test is marked with a scenario" in found.out
    assert list(ours.path.glob(".spec11/*/journal-*")) == []


def test_a_red_test_of_no_claim_blocks_all_the_same(team: Callable[..., Team]) -> None:
    ours = team(PROOF + "\ndef test_unmarked(api):\n    assert api.get('/').status == 200\n")
    assert ours.run().status == 1
    assert ours.reasons(scope="demo")["test_proof.py::test_unmarked"] == ["E-FAILED"]


def test_what_an_installed_package_asserts_about_itself_proves_nothing(
    team: Callable[..., Team],
) -> None:
    ours = team(
        HEAD
        + """
from hypothesis import HealthCheck, given, settings, strategies

@settings(max_examples=3, suppress_health_check=list(HealthCheck))
@given(number=strategies.integers())
def test_asserts_nothing_itself(api, number):
    api.get("/healthz")
"""
    )
    found = ours.run("-o", "addopts=")  # with the plugin of hypothesis, whose modules are rewritten
    assert "1 passed" in found.out
    assert ours.reasons(scope="demo")["S00.answers"] == ["E-NO-ASSERTION"]
    assert found.status == 1


def test_a_file_compiled_before_the_plugin_was_there_is_heard(team: Callable[..., Team]) -> None:
    ours = team()
    ours.write("conftest.py", "import pytest\n\n@pytest.fixture\ndef api(): ...\nproc = api\n")
    deaf = ours.run("-p", "no:spec11", "-W", "ignore", "-o", "strict=false")
    assert "3 failed" in deaf.out
    again = team()
    assert again.run().status == 0
    assert len(again.records("assertion")) == 4
