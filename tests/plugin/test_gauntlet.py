"""The gauntlet: every way in which other gates say yes to nothing ends here as NO_GO.

Each row is a claim whose test is green, or missing, or never ended; each has a code of its own, and
no rule knows any row.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_spec11.cli import main
from pytest_spec11.evidence import bundle
from pytest_spec11.judge import Terms, judge
from pytest_spec11.requirements import catalogue
from pytest_spec11.requirements.policy import Policy
from tests.plugin.gauntlet_rows import GOOD, HEAD, HOOKS, ROWS
from tests.plugin.team import CONFTEST, Ended, Team, make_team, reruns

DIES = """
@row("missing")
def test_dies(api):
    assert api.get("/healthz").status == 200
    {death}

@row("never-looked")
def test_after_it(api):
    assert api.get("/healthz").status == 500
"""


def claim(name: str) -> dict[str, Any]:
    return {"id": f"S00.{name}", "text": name, "sources": ["api"], "scopes": ["signoff"]}


def field(folder: Path, tests: str) -> Team:
    """A team with a claim for each row, and these tests."""
    ours = make_team(folder, HEAD + GOOD + tests)
    claims = [claim(name) for name in ("sound", *ROWS)]
    scenario = {"id": "S00", "title": "Rows", "claims": claims}
    ours.write("catalogue.json", json.dumps({"scenarios": [scenario]}))
    ours.write("conftest.py", CONFTEST + reruns("reruns") + HOOKS)
    ours.commit()
    return ours


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Team, Ended]:
    """All rows that fit into one run."""
    tests = "".join(
        f'\n@row("{name}")' + text.format(name.replace("-", "_"))
        if not text.lstrip().startswith(("TRIED", "@"))
        else text.format(name.replace("-", "_")).replace("\ndef ", f'\n@row("{name}")\ndef ', 1)
        for name, (_, text) in ROWS.items()
        if text
    )
    ours = field(tmp_path_factory.mktemp("rows"), tests)
    return ours, ours.run("--spec11-scope", "signoff", "-W", "default")


@pytest.fixture(scope="module")
def reasons(ran: tuple[Team, Ended]) -> dict[str, list[str]]:
    return ran[0].reasons()


@pytest.mark.parametrize("name", ROWS)
def test_each_row_is_no_go_by_its_own_code(name: str, reasons: dict[str, list[str]]) -> None:
    assert ROWS[name][0] in reasons[f"S00.{name}"]


def test_what_is_sound_has_no_reason_against_it(reasons: dict[str, list[str]]) -> None:
    assert {each.partition(".")[2] for each in reasons if each.startswith("S00.")} == {*ROWS}


@pytest.mark.parametrize(
    ("death", "codes"),
    [
        ("os._exit(0)", {"E-UNSEALED", "E-CONSERVATION"}),
        ("pytest.exit('enough', returncode=0)", {"E-ERROR", "E-CONSERVATION"}),
    ],
)
def test_an_early_end_is_no_go(death: str, codes: set[str], tmp_path: Path) -> None:
    ours = field(tmp_path, DIES.format(death=death))
    ours.run("--spec11-scope", "signoff")
    assert codes <= {code for each in ours.reasons().values() for code in each}


@pytest.mark.parametrize(
    ("death", "codes"),
    [
        ("os._exit(0)", {"E-LOST", "E-CONSERVATION", "E-NOT-RUN"}),
        ("record_property('what', object())", {"E-ERROR", "E-NOT-RUN"}),
    ],
)
def test_what_a_worker_of_xdist_loses_is_no_go(death: str, codes: set[str], tmp_path: Path) -> None:
    dies = DIES.format(death=death).replace("dies(api)", "dies(api, record_property)")
    ours = field(tmp_path, dies)
    assert ours.run("-n", "2", "--spec11-scope", "signoff").status != 0
    assert codes <= {code for each in ours.reasons().values() for code in each}


def test_a_test_behind_another_of_its_name_and_an_unknown_marker_are_errors(tmp_path: Path) -> None:
    twice = '\n@row("missing")\ndef test_twice(api):\n    assert api.get("/healthz").status == {}\n'
    ours = field(tmp_path, twice.format(500) + twice.format(200))
    found = ours.run()
    assert found.status != 0
    assert "which never runs" in found.out
    assert ours.run("-m", "S02 or S20").status == 4
    ours.write("test_proof.py", HEAD + GOOD + '\n@row("extra")\ndef test_x(api): ...\n')
    found = ours.run()
    assert found.status != 0
    assert "no claim 'S00.extra' in the catalogue" in found.out


def test_what_was_left_out_is_no_go(tmp_path: Path) -> None:
    ours = field(tmp_path, DIES.format(death="pass"))
    assert ours.run("-k", "sound", "--spec11-scope", "signoff").status == 0
    found = ours.reasons()
    assert found["S00.missing"] == found["S00.never-looked"] == ["E-DESELECTED"]
    assert "S00.sound" not in found


Spoil = Callable[[Team], object]


def rename_claim(ours: Team) -> None:
    text = (ours.path / "catalogue.json").read_text()
    ours.write("catalogue.json", text.replace("S00.sound", "S00.sounder"))


def cut(ours: Team) -> None:
    path = ours.bundle / "journal-main.ndjson"
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize(
    ("spoil", "codes"),
    [
        (rename_claim, {"E-CATALOGUE", "E-UNKNOWN-CLAIM", "E-NOT-RUN", "E-TREE"}),
        (cut, {"E-TRUNCATED", "E-UNSEALED"}),
    ],
)
def test_what_was_changed_after_the_run_is_no_go(
    spoil: Spoil, codes: set[str], tmp_path: Path
) -> None:
    ours = field(tmp_path, "")
    ours.run("--spec11-scope", "signoff")
    spoil(ours)
    assert codes <= {code for each in ours.reasons().values() for code in each}


FLAKY = """
@row("flaky")
def test_flaky(api):
    red = (__import__("pathlib").Path(__file__).parent / ".spec11" / "red").exists()
    assert api.get("/healthz").status == (500 if red else 200)
"""


def test_a_red_run_kept_beside_a_green_one_is_no_go_and_its_twin_is_go(tmp_path: Path) -> None:
    ours = field(tmp_path, FLAKY)
    scenario = {"id": "S00", "title": "Rows", "claims": [claim("sound"), claim("flaky")]}
    ours.write("catalogue.json", json.dumps({"scenarios": [scenario]}))
    ours.commit()
    red = ours.path / ".spec11" / "red"
    runs: list[Path] = []
    for is_red in (False, False, True, False):
        red.parent.mkdir(exist_ok=True)
        red.touch() if is_red else red.unlink(missing_ok=True)
        assert ours.run("--spec11-scope", "signoff").status == int(is_red)
        runs += sorted({*ours.bundles} - {*runs, red})  # two of one second have no order by name
    green, _, failed, last = runs

    assert ours.verdict(str(green))["verdict"] == ours.verdict(str(last))["verdict"] == "NO_GO"
    assert ours.reasons() == {"S00.flaky": ["E-FLAKY"], "kills.json": ["E-WEAK-ORACLE"]}
    said = ours.spec11("flakes")
    assert said.status == 1
    assert "red in 1 of 4 runs  test_proof.py::test_flaky" in said.out
    assert failed.name in said.out

    away = ours.path / ".spec11" / "away"
    away.mkdir()
    failed.rename(away / failed.name)
    assert ours.sabotage("--green", str(last)).status == 0
    found = ours.verdict(str(last))
    assert (found["verdict"], found["kept"]["green"], found["kept"]["runs"]) == ("GO", 3, 3)
    assert ours.spec11("flakes").status == 0


def test_old_results_and_no_results_are_no_go(ran: tuple[Team, Ended], tmp_path: Path) -> None:
    ours, _ = ran
    known = catalogue.load(ours.path / "catalogue.json")
    seen = bundle.load([ours.bundle])
    last = max(leaf.reading.times.last for leaf in seen.leaves if leaf.reading.times)
    here = dict(seen.leaves[0].binding)
    codes = {}
    for hours in (1, 25):
        now_ms = last + hours * 3_600_000
        terms = Terms(now_ms=now_ms, here=here, scope="signoff", policy=Policy())
        codes[hours] = {each.code for each in judge(known, seen, terms).reasons}
    assert codes[25] - codes[1] == {"E-STALE"}
    (tmp_path / "empty").mkdir()
    assert main(["gate", str(tmp_path / "empty")]) == 3
