"""What we write for others is read by their own tools and schemas: Allure's, CTRF's, SARIF's."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest

from tests.plugin.team import Team
from tests.reports.reading import run_report

ROOT: Final = Path(__file__).parents[2]
TOOLS: Final = ROOT / ".tools" / "validators"
WITHIN_S: Final = 120
# Of CTRF's own package, which knows the schema; it says nothing of a document that has no fault.
CTRF: Final = """
import { readFileSync } from "node:fs";
import { validateStrict } from "ctrf";
validateStrict(JSON.parse(readFileSync(process.argv[1], "utf8")));
"""
SARIF: Final = "node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json"


def find_tool(name: str) -> Path:
    """A file of those tools."""
    assert TOOLS.is_dir(), "needs the tools of other makers: `make validators` brings them"
    return TOOLS / name


def ask_tool(*words: str) -> str:
    """What one of the tools said. Raises CalledProcessError for what it refuses."""
    done = subprocess.run(  # noqa: S603  # full argv, no shell
        words, cwd=find_tool("."), capture_output=True, text=True, timeout=WITHIN_S, check=True
    )
    return done.stdout + done.stderr


def ctrf(path: Path) -> str:
    """What CTRF's validator says of the document."""
    return ask_tool("node", "--input-type=module", "--eval", CTRF, "--", str(path))


def allure(where: Path, out: Path) -> dict[str, Any]:
    """What Allure counts in the results at ``where``, once it made a report of them."""
    ask_tool(
        str(find_tool("node_modules/.bin/allure")), "generate", "--output", str(out), str(where)
    )
    stats: dict[str, Any] = json.loads((out / "summary.json").read_bytes())["stats"]
    return stats


def test_allure_reads_its_results_and_junit_and_counts_alike(red: Team, tmp_path: Path) -> None:
    results, junit = tmp_path / "results", tmp_path / "junit"
    junit.mkdir()
    run_report(red, "--allure", str(results), "--junit", str(junit / "report.xml"))

    counted = {"total": 6, "passed": 3, "failed": 2, "skipped": 1}
    assert allure(results, tmp_path / "one") == counted
    assert allure(junit, tmp_path / "two") == counted


def test_the_validator_of_ctrf_finds_nothing_but_would(
    green: Team, red: Team, tmp_path: Path
) -> None:
    for team, name in ((green, "green"), (red, "red")):
        path = tmp_path / f"{name}.json"
        run_report(team, "--ctrf", str(path))

        assert ctrf(path) == ""

        path.write_text(path.read_text("utf-8").replace('"passed"', '"done"'), "utf-8")
        with pytest.raises(subprocess.CalledProcessError, match="non-zero"):
            ctrf(path)


def test_the_schema_of_sarif_and_what_a_forge_asks_besides(
    green: Team, red: Team, tmp_path: Path
) -> None:
    schema = jsonschema.Draft7Validator(json.loads(find_tool(SARIF).read_bytes()))
    for team, name in ((green, "green"), (red, "red")):
        path = tmp_path / f"{name}.sarif"
        run_report(team, "--sarif", str(path))
        log = json.loads(path.read_bytes())

        assert [*schema.iter_errors(log)] == []
        assert not schema.is_valid(log | {"version": "2.0.0"})
        [run] = log["runs"]
        assert all(each["fullDescription"]["text"] for each in run["tool"]["driver"]["rules"])
        places = [each["locations"][0]["physicalLocation"] for each in run["results"]]
        assert len(places) == len(team.verdict()["reasons"])
        assert {each["region"]["startLine"] for each in places} <= {1}
        assert {each["artifactLocation"]["uri"] for each in places} <= {
            "test_proof.py", "spec11.toml",
        }  # fmt: skip
        known_again = {
            each["partialFingerprints"]["primaryLocationLineHash"] for each in run["results"]
        }
        assert len(known_again) == len(
            {(r["code"], r["subject"]) for r in team.verdict()["reasons"]}
        )
