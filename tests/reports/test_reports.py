"""Documents of another team's runs: what they say is what the gate says, and nothing gets in."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from copy import deepcopy
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml
from typing_extensions import override

from pytest_spec11.evidence import documents
from tests.plugin.faults import ANSWERS, CLAIMS, with_saboteurs
from tests.plugin.team import CATALOGUE, Team, make_team
from tests.reports.reading import run_report


class Page(HTMLParser):
    """What a page is made of: elements, their attributes, its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.size = path.stat().st_size
        self.feed(path.read_text("utf-8"))

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    @override
    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(team: Team) -> Page:
    assert run_report(team).status == 0
    return Page(team.bundle / "report.html")


def test_the_page_says_the_verdict_and_what_it_rests_on(green: Team) -> None:
    said = page(green)

    assert "GO" in said.text.split()
    assert "NO GO" not in said.text
    assert "3 of 3 needed claims proven" in said.text
    assert re.search(r"mutants of process: \d+ of \d+ killed, seen red 20", said.text)
    for claim in ("S00.answers", "S00.lives", "S01.takes-orders"):
        assert any(each.get("id") == claim for each in said.of("details"))
    assert green.verdict()["evidence"]["root"] in said.text
    assert green.verdict()["binding"]["tree"] in said.text


def test_the_page_names_what_can_change_although_a_claim_stays_green(
    green: Team, tmp_path: Path
) -> None:
    team = Team(shutil.copytree(green.path, tmp_path / "team"))
    path = team.bundle / "kills.json"
    matrix = json.loads(path.read_bytes())
    del matrix["sum"]
    place = {"source": "api", "shape": "GET /healthz", "field": "$.mode", "operators": ["changed"]}
    matrix["mutation"]["unseen"] = [{"claim": "S00.answers", **place}]
    documents.write(path, "kills", matrix)

    said = " ".join(page(team).text.split())

    assert "Can change although no test of this claim turns red: GET /healthz $.mode" in said


def test_the_page_of_a_no_go_begins_with_the_first_reason(red: Team) -> None:
    said, first = page(red), red.verdict()["reasons"][0]

    assert "NO GO" in said.text
    assert said.text.index(first["code"]) < said.text.index("Tiles")
    assert first["command"] in said.text
    assert "1 of 3 needed claims proven" in said.text


def test_a_claim_that_the_policy_asks_for_is_counted_everywhere(tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    team, claims = make_team(tmp_path / "team"), deepcopy(CATALOGUE)
    claims["scenarios"][1]["claims"].append(
        {"id": "S01.live", "text": "l", "sources": ["api"], "scopes": ["live-smoke"]}
    )
    team.write("catalogue.json", json.dumps(claims))
    team.write("spec11.toml", '[release]\nmandatory = ["S01.live"]\n')
    team.commit()
    ended = team.prove()
    summary = tmp_path / "summary.md"
    assert run_report(team, "--summary", str(summary)).status == 0

    unproven = "NO_GO for the release: 1 of 4 needed claims unproven"
    assert any(line.startswith(f"{unproven};") for line in ended.summary)
    assert team.gate().out.splitlines()[-1] == unproven
    assert team.verdict()["notClaimed"] == []
    assert "3 of 4 needed claims proven." in summary.read_text("utf-8")
    said = page(team)
    assert "3 of 4 needed claims proven" in said.text
    assert "(not claimed at this scope)" not in said.text


def test_the_page_says_of_each_claim_when_it_was_last_green_and_red(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    team = with_saboteurs(lambda tests: make_team(tmp_path_factory.mktemp("faults"), tests))
    team.sabotage("--no-mutants", "--claim", ANSWERS, "--claim", "S00.weak", "--bundle", "kills")
    team.run("-k", "killed or weak")
    (cell, *_) = json.loads((team.path / "kills" / "kills.json").read_bytes())["cells"]

    words = ("report", str(team.bundle), str(team.path / "kills"), "--catalogue", "catalogue.json")
    assert team.spec11(*words).status == 0
    said = " ".join(Page(team.bundle / "report.html").text.split())

    red = f"{datetime.fromtimestamp(cell['redAt'] / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    assert (cell["claim"], f"http.broken killed, seen red {red}: AssertionError:" in said) == (
        ANSWERS, True
    )  # fmt: skip
    assert "http.broken survived" in said
    assert "proc.mode not tried" in said
    assert len(re.findall(r"Last seen green \d{4}-\d\d-\d\d", said)) == 2
    assert said.count("Last seen green never") == len(CLAIMS) - 2


def test_the_page_says_of_each_trigger_whether_it_was_seen_to_flip(green: Team, red: Team) -> None:
    shown, missing = (" ".join(page(team).text.split()) for team in (green, red))

    assert re.search(r"Dead processes shown flipped both ways, \d{4}-\d\d-\d\d ", shown)
    assert "Dead processes not shown unproven: S00.lives" in missing


def test_no_page_asks_the_network_or_runs_anything(green: Team, red: Team) -> None:
    for team in (green, red):
        said = page(team)
        assert {"script", "img", "link", "iframe", "object", "form"}.isdisjoint(
            tag for tag, _ in said.elements
        )
        names = {name for _, attributes in said.elements for name in attributes}
        assert not [name for name in names if name.startswith("on")]
        hrefs = [each["href"] for each in said.of("a")]
        assert all(href and href.startswith("#") for href in hrefs)
        [policy] = [m for m in said.of("meta") if m.get("http-equiv")]
        assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_hostile_words_are_words(red: Team) -> None:
    said = page(red)

    assert "<script>alert(1)</script>" in said.text
    assert "<img src=x onerror=alert(1)>" in said.text


def test_the_page_can_be_read_by_ear_and_on_a_phone(green: Team) -> None:
    said = page(green)

    [html], [title] = said.of("html"), said.of("title")
    assert (html["lang"], title) == ("en", {})
    assert any("width=device-width" in (m.get("content") or "") for m in said.of("meta"))
    anchors = {each.get("id") for _, each in said.elements}
    assert {(each["href"] or "")[1:] for each in said.of("a")} <= anchors
    levels = [int(tag[1]) for tag, _ in said.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(high - low <= 1 for low, high in pairwise(levels))
    assert len(said.of("caption")) == len(said.of("table"))
    assert all(each.get("scope") for each in said.of("th"))


def test_junit_is_read_by_others_and_red_with_the_verdict(
    green: Team, red: Team, tmp_path: Path
) -> None:
    counts = {}
    for team, name in ((green, "green"), (red, "red")):
        path = tmp_path / f"{name}.xml"
        assert run_report(team, "--junit", str(path)).status == 0
        suites = JUnitXml.fromfile(str(path))
        counts[name] = (
            sum(suite.tests for suite in suites),
            sum(suite.failures + suite.errors for suite in suites),
            sum(suite.skipped for suite in suites),
        )
        last = [case for suite in suites for case in suite][-1]
        assert last.name == "release verdict"
        assert last.is_failure == (name == "red")

    assert counts == {"green": (4, 0, 0), "red": (6, 2, 1)}


def test_ctrf_counts_what_it_lists(red: Team, tmp_path: Path) -> None:
    path = tmp_path / "ctrf.json"
    assert run_report(red, "--ctrf", str(path)).status == 0

    found = json.loads(path.read_text("utf-8"))
    results = found["results"]
    assert (found["reportFormat"], results["tool"]) == ("CTRF", {"name": "spec11"})
    summary, tests = results["summary"], results["tests"]
    kinds = ("passed", "failed", "pending", "skipped", "other")
    assert {kind: summary[kind] for kind in kinds} == {
        kind: sum(test["status"] == kind for test in tests) for kind in kinds
    }
    assert summary["tests"] == len(tests) == 6
    assert 0 < summary["start"] <= summary["stop"]
    assert all(isinstance(test["duration"], int) and test["name"] for test in tests)
    assert tests[-1]["rawStatus"] == "NO_GO"


def test_allure_has_a_file_for_each_test_and_the_same_names_again(
    red: Team, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        assert run_report(red, "--allure", str(tmp_path / name)).status == 0

    found = {path.name: json.loads(path.read_bytes()) for path in (tmp_path / "one").iterdir()}
    assert {path.name for path in (tmp_path / "two").iterdir()} == found.keys()
    assert all(name == f"{each['uuid']}-result.json" for name, each in found.items())
    assert len(found) == 6
    statuses = sorted(each["status"] for each in found.values())
    assert statuses == ["failed", "failed", "passed", "passed", "passed", "skipped"]
    stories = {label["value"] for each in found.values() for label in each["labels"]}
    assert {"S00.lives", "S00 It is there"} <= stories


def test_sarif_names_every_reason_and_where(red: Team, green: Team, tmp_path: Path) -> None:
    runs: dict[str, Any] = {}
    for team, name in ((green, "green"), (red, "red")):
        path = tmp_path / f"{name}.sarif"
        assert run_report(team, "--sarif", str(path)).status == 0
        log = json.loads(path.read_text("utf-8"))
        assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
        [runs[name]] = log["runs"]

    assert runs["green"]["results"] == []
    wanted = {(each["code"], each["subject"]) for each in red.verdict()["reasons"]}
    assert {each["ruleId"] for each in runs["red"]["results"]} == {code for code, _ in wanted}
    rules = {each["id"] for each in runs["red"]["tool"]["driver"]["rules"]}
    assert rules == {code for code, _ in wanted}


def test_the_summary_of_a_step_is_a_few_lines(red: Team, tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    assert run_report(red, "--summary", str(path)).status == 0

    lines = path.read_text("utf-8").splitlines()
    assert lines[0] == "## NO GO for the release, scope signoff"
    assert "1 of 3 needed claims proven." in lines
    assert any(line.startswith("| E-FAILED |") for line in lines)
    assert not [line for line in lines if "<img" in line]


def test_a_file_that_cannot_be_written_is_one_line(green: Team, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    found = run_report(green, "--junit", str(tmp_path / "file/report.xml"))

    assert found.status == 3
    assert found.err.startswith(f"spec11: {tmp_path}/file/report.xml: ")
    assert found.err.count("\n") == 1


def test_no_older_report_survives_a_call_without_a_verdict(red: Team, tmp_path: Path) -> None:
    places = {"--junit": tmp_path / "j.xml", "--summary": tmp_path / "s.md"}
    words = [str(word) for pair in places.items() for word in pair]
    assert run_report(red, *words, "--allure", str(tmp_path / "allure")).status == 0
    theirs = tmp_path / "allure" / "theirs-result.json"
    theirs.write_text("{}")

    failed = run_report(red, *words, "--allure", str(tmp_path / "allure"), "--root", "/nowhere")

    assert failed.status == 3
    assert [path.exists() for path in places.values()] == [False, False]
    assert [*(tmp_path / "allure").iterdir()] == [theirs]


def test_a_reused_directory_of_allure_holds_no_stale_test(red: Team, tmp_path: Path) -> None:
    folder = tmp_path / "allure"
    folder.mkdir()
    stale = folder / f"{uuid.uuid5(uuid.NAMESPACE_URL, 'gone')}-result.json"
    stale.write_text("{}")

    assert run_report(red, "--allure", str(folder)).status == 0

    assert not stale.exists()
    assert len([*folder.iterdir()]) == 6
