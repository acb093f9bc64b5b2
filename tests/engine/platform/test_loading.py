"""What a start loads, and that looking for garbage waits meanwhile."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest

from engine.loading import pause_collection
from tests.engine.processes import ROOT, environment

LOADED = "import sys, {module}; print(*sys.modules)"


@pytest.fixture
def thawed() -> Iterator[None]:
    """What the test froze is looked at again."""
    yield
    gc.unfreeze()


def list_loaded(module: str) -> set[str]:
    made = subprocess.run(  # noqa: S603  # our own words only
        [sys.executable, "-c", LOADED.format(module=module)],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(made.stdout.split())


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [
        ("engine.cli.worker", {"dbos", "sqlalchemy", "starlette", "uvicorn", "pydantic"}),
        ("engine.worker", {"httpx", "jsonschema", "starlette", "uvicorn", "engine.ports.sbx.e2b"}),
        ("engine.shim", {"dbos", "sqlalchemy", "httpx", "jinja2", "engine.ports.sbx.e2b"}),
        ("engine.cli.db", {"dbos", "sqlalchemy", "httpx", "jsonschema", "starlette", "uvicorn"}),
    ],
)
def test_a_process_loads_no_library_that_it_does_not_use(module: str, unneeded: set[str]) -> None:
    loaded = list_loaded(module)
    assert module in loaded
    assert unneeded & loaded == set()


@pytest.mark.usefixtures("thawed")
def test_nothing_is_collected_while_modules_load_and_what_they_made_is_frozen() -> None:
    frozen = gc.get_freeze_count()
    with pause_collection():
        assert not gc.isenabled()
        made = [[number] for number in range(100)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= frozen + len(made)


@pytest.mark.usefixtures("thawed")
def test_collection_goes_on_after_a_module_that_cannot_be_loaded() -> None:
    with pytest.raises(ModuleNotFoundError), pause_collection():
        __import__("engine.no_such_module")
    assert gc.isenabled()


@pytest.mark.usefixtures("thawed")
def test_collection_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with pause_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
