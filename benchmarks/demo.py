"""How long `pytest -m S02` takes, cold and warm.

Each round is a copy of this work tree with a schema of its own: no kept cluster fits it, and no
compiled file is there. The first run in it is cold, the second one warm.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks import lab
from benchmarks.figures import LOWER, Effort, Figure, Figures, Measurement, Row

ROUNDS: Final = 3
LIMIT_S: Final = 120.0
SCHEMA: Final = Path("engine/store/migrations/0001_schema.sql")
OWN: Final = ("env", "-u", "PYTHONDONTWRITEBYTECODE", "-u", "PYTEST_ADDOPTS")
PYTEST: Final = (*OWN, sys.executable, "-m", "pytest", "-q", "-m", "S02")
KEPT: Final = """
from engine.config import Config
from engine.usecases import cluster
print(Config.from_env().folders.cache / "templates" / cluster.key())
"""
GIT: Final = ("git", "-c", "user.name=bench", "-c", "user.email=bench@localhost")
COLD: Final = Row(
    name="s02-cold", title="pytest -m S02, nothing kept or compiled", unit="s", better=LOWER
)
WARM: Final = Row(name="s02-warm", title="pytest -m S02, warm", unit="s", better=LOWER, goal=4)


def measure(effort: Effort) -> Figures:
    """One cold and one warm run a round."""
    ended: dict[str, list[lab.Ended]] = {COLD.name: [], WARM.name: []}
    for _ in range(effort.count_rounds(ROUNDS)):
        with copy_work_tree() as tree:
            for runs in ended.values():
                runs.append(_run_demo(tree))
    return {
        name: Figure(
            value=(found := Figure.from_rounds([run.seconds for run in runs])).value,
            rounds=found.rounds,
            noise=found.noise,
            parts={"cpu": [run.cpu_s for run in runs]},
        )
        for name, runs in ended.items()
    }


@contextmanager
def copy_work_tree() -> Iterator[Path]:
    """A checkout like this one, whose fresh databases are like nobody's."""
    with tempfile.TemporaryDirectory(prefix="spec11-bench-") as made:
        tree = Path(made)
        _copy_files(tree)
        with (tree / SCHEMA).open("a") as schema:
            schema.write(f"-- {uuid.uuid4()}\n")
        for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "bench")):
            _run((*GIT, *words), tree)
        kept = Path(_run((*OWN, sys.executable, "-B", "-c", KEPT), tree).strip())
        try:
            yield tree
        finally:
            shutil.rmtree(kept, ignore_errors=True)  # ours alone: the schema is nobody else's


def _copy_files(tree: Path) -> None:
    listed = _run(("git", "ls-files", "-z", "-co", "--exclude-standard"), lab.ROOT)
    for name in filter(None, listed.split("\0")):
        if (source := lab.ROOT / name).is_file():  # one removed but not yet committed is not
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, tree / name)


def _run_demo(tree: Path) -> lab.Ended:
    ended = lab.run_to_end(PYTEST, tree, {"PYTHONPATH": str(tree)}, LIMIT_S)
    if " passed" not in ended.said or " failed" in ended.said:
        raise lab.MeasurementFailed(f"pytest -m S02: {ended.said[-lab.TAIL :]}")
    return ended


def _run(command: tuple[str, ...], folder: Path) -> str:
    ended = lab.run_to_end(command, folder, {"PYTHONPATH": os.fspath(folder)}, LIMIT_S)
    if ended.code:
        raise lab.MeasurementFailed(f"{command}: {ended.said[-lab.TAIL :]}")
    return ended.said


MEASUREMENT: Final = Measurement(name="s02", rows=(COLD, WARM), measure=measure)
