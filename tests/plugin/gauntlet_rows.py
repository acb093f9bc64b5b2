"""The rows of the gauntlet: tests that other gates call green, and their sound twins."""

from __future__ import annotations

HEAD = """
import asyncio, multiprocessing, os, threading, unittest
from concurrent.futures import ThreadPoolExecutor
import pytest

def row(name):
    return pytest.mark.claim(f"S00.{name}")

pytestmark = pytest.mark.S00
"""
# What every other gate that was looked at calls green.
ROWS: dict[str, tuple[str, str]] = {
    "zero-samples": (
        "E-EMPTY",
        """
def test_{}(files):
    assert files.read("no-such-file") is None
""",
    ),
    "dead-server": (
        "E-FAILED",
        """
def test_{}(api):
    assert api.get("http://127.0.0.1:9/healthz").status == 200
""",
    ),
    "all-skipped": (
        "E-SKIPPED",
        """
@pytest.mark.skip
def test_{}(api):
    assert api.get("/healthz").status == 200
""",
    ),
    "nothing-to-try": (
        "E-SKIPPED",
        """
@pytest.mark.parametrize("number", [])
def test_{}(api, number):
    assert api.get("/healthz").status == 200
""",
    ),
    "duplicate-ids": (
        "E-FAILED",
        """
@pytest.mark.parametrize("status", [500, 200], ids=["same", "other"])
def test_{}(api, status):
    assert api.get("/healthz").status == status
""",
    ),
    "xfail": (
        "E-XFAIL",
        """
@pytest.mark.xfail
def test_{}(api):
    assert api.get("/healthz").status == 500
""",
    ),
    "xpass": (
        "E-XPASS",
        """
@pytest.mark.xfail(strict=False)
def test_{}(api):
    assert api.get("/healthz").status == 200
""",
    ),
    "reruns": (
        "E-RERUN",
        """
TRIED = []
def test_{}(api):
    TRIED.append(1)
    assert api.get("/healthz").status == (200 if len(TRIED) > 1 else 500)
""",
    ),
    "thread": (
        "E-THREAD",
        """
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_{}(api):
    assert api.get("/healthz").status == 200
    def check():
        assert 1 == 2
    thread = threading.Thread(target=check)
    thread.start()
    thread.join()
""",
    ),
    "returned": (
        "E-RETURN",
        """
def test_{}(api):
    assert api.get("/healthz").status == 200
    return 1 == 2
""",
    ),
    "bare-comparison": (
        "E-NO-ASSERTION",
        """
def test_{}(api):
    api.get("/healthz").status == 500
""",
    ),
    "except-pass": (
        "E-NO-ASSERTION",
        """
def test_{}(api):
    try:
        assert api.get("/healthz").status == 500
    except AssertionError:
        pass
""",
    ),
    "all-of-nothing": (
        "E-EMPTY",
        """
def test_{}(api):
    rows = api.post("/rows", json=[]).json()
    assert all(each["good"] for each in rows)
""",
    ),
    "never-looked": (
        "E-EMPTY",
        """
def test_{}():
    assert 1 + 1 == 2
""",
    ),
    "assertion-lost-in-a-hook": (
        "E-CONTRADICTION",
        """
def test_{}(api):
    assert api.get("/healthz").status == 200
    assert api.get("/healthz").status == 500
""",
    ),
    "report-rewritten": (
        "E-CONTRADICTION",
        """
def test_{}(api):
    assert api.get("/healthz").status == 200
    assert api.get("/healthz").status == 500
""",
    ),
    "never-run": (
        "E-CONTRADICTION",
        """
def test_{}(api, looked_at):
    assert api.get("/healthz").status == 500
""",
    ),
    "lost-in-a-task": (
        "E-BACKGROUND",
        """
def test_{}(api):
    async def check():
        assert 1 == 2
    async def begin():
        task = asyncio.ensure_future(check())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert api.get("/healthz").status == 200
    asyncio.run(begin())
""",
    ),
    "never-awaited": (
        "E-BACKGROUND",
        """
@pytest.mark.filterwarnings("ignore")
def test_{}(api):
    async def check():
        assert 1 == 2
    assert api.get("/healthz").status == 200
    check()
""",
    ),
    "lost-in-a-future": (
        "E-BACKGROUND",
        """
def test_{}(api):
    def check():
        assert 1 == 2
    assert api.get("/healthz").status == 200
    with ThreadPoolExecutor() as pool:
        pool.submit(check)
""",
    ),
    "lost-in-a-child": (
        "E-BACKGROUND",
        """
@pytest.mark.filterwarnings("ignore")
def test_{}(api):
    def check():
        raise SystemExit(3)
    assert api.get("/healthz").status == 200
    child = multiprocessing.get_context("fork").Process(target=check)
    child.start()
    child.join()
""",
    ),
    "missing": ("E-NOT-RUN", ""),
}
# Work beside a test whose end the test looks at is no failure, whatever it was.
GOOD = """
@row("sound")
def test_sound(api):
    assert api.get("/healthz").status == 200

@row("sound")
def test_sound_with_work_beside_it(api):
    assert api.get("/healthz").status == 200
    async def fail():
        raise LookupError
    async def look():
        with pytest.raises(LookupError):
            await asyncio.ensure_future(fail())
    asyncio.run(look())
    with ThreadPoolExecutor() as pool:
        assert isinstance(pool.submit([].pop).exception(), IndexError)
    child = multiprocessing.get_context("fork").Process(target=os._exit, args=(3,))
    child.start()
    child.join()
    assert child.exitcode == 3

@row("sound")
class TestOfUnittest(unittest.TestCase):
    def test_sound(self):
        assert self.api.get("/healthz").status == 200

    @pytest.fixture(autouse=True)
    def take(self, api):
        type(self).api = api

@row("sound")
class TestAsyncOfUnittest(unittest.IsolatedAsyncioTestCase):
    async def test_sound(self):
        assert self.api.get("/healthz").status == 200

    @pytest.fixture(autouse=True)
    def take(self, api):
        type(self).api = api
"""
# Hooks of the team's conftest that make a red test green.
HOOKS = """
import pytest

@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    try:
        return (yield)
    except AssertionError:
        if "lost_in_a_hook" not in pyfuncitem.name:
            raise
        return True

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    if "never_run" in item.name:
        item.runtest = lambda: None

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if "report_rewritten" in item.name and report.failed:
        report.outcome, report.longrepr = "passed", None
    return report

@pytest.fixture
def looked_at(api):
    assert api.get("/healthz").status == 200
"""
