"""What we write for others is read by their own tools: Allure's, and CTRF's validator."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.plugin.team import Team
from tests.reports.reading import reported

ROOT: Final = Path(__file__).parents[2]
MODULES: Final = ROOT / ".tools" / "validators" / "node_modules"
WITHIN_S: Final = 120
# Of CTRF's own package, which knows the schema; it says nothing of a document that has no fault.
CTRF: Final = """
import { readFileSync } from "node:fs";
import { validateStrict } from "ctrf";
validateStrict(JSON.parse(readFileSync(process.argv[1], "utf8")));
"""


def asked(*words: str) -> str:
    """What one of the tools said. Raises CalledProcessError for what it refuses."""
    assert MODULES.is_dir(), "needs the tools of other makers: `make validators` brings them"
    done = subprocess.run(  # noqa: S603  # full argv, no shell
        words, cwd=MODULES.parent, capture_output=True, text=True, timeout=WITHIN_S, check=True
    )
    return done.stdout + done.stderr


def ctrf(path: Path) -> str:
    """What CTRF's validator says of the document."""
    return asked("node", "--input-type=module", "--eval", CTRF, "--", str(path))


def allure(where: Path, out: Path) -> dict[str, Any]:
    """What Allure counts in the results at ``where``, once it made a report of them."""
    asked(str(MODULES / ".bin" / "allure"), "generate", "--output", str(out), str(where))
    stats: dict[str, Any] = json.loads((out / "summary.json").read_bytes())["stats"]
    return stats


def test_allure_reads_its_results_and_junit_and_counts_alike(red: Team, tmp_path: Path) -> None:
    results, junit = tmp_path / "results", tmp_path / "junit"
    junit.mkdir()
    reported(red, "--allure", str(results), "--junit", str(junit / "report.xml"))

    counted = {"total": 6, "passed": 3, "failed": 2, "skipped": 1}
    assert allure(results, tmp_path / "one") == counted
    assert allure(junit, tmp_path / "two") == counted


def test_the_validator_of_ctrf_finds_nothing_but_would(
    green: Team, red: Team, tmp_path: Path
) -> None:
    for team, name in ((green, "green"), (red, "red")):
        path = tmp_path / f"{name}.json"
        reported(team, "--ctrf", str(path))

        assert ctrf(path) == ""

        path.write_text(path.read_text("utf-8").replace('"passed"', '"done"'), "utf-8")
        with pytest.raises(subprocess.CalledProcessError, match="non-zero"):
            ctrf(path)
