"""S15: a run that did not end as a proof is no GO."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_spec11.evidence import bundle
from pytest_spec11.evidence.journal import read
from pytest_spec11.judge import Terms, judge
from pytest_spec11.oracles.files import Files
from pytest_spec11.oracles.proc import Exit
from pytest_spec11.requirements.policy import load
from scenarios.support.release.forged_evidence import Line, rewritten
from scenarios.support.release.judges import Court, ask_gate, ask_gate_process
from scenarios.support.release.tampering import JUDGED
from scenarios.support.release.throwaway_release import (
    CLAIMS,
    SPEC11,
    ThrowawayRelease,
    commit_tree,
    holding,
    write_tree,
)

pytestmark = pytest.mark.S15

RUN_S = 90.0


def throwaway(court: Court, folder: Path, tests: str, conftest: str = "") -> ThrowawayRelease:
    """A committed tree with these tests, and no release yet."""
    tree = folder / "throwaway"
    write_tree(tree, court.base.app_version, tests)
    with (tree / "conftest.py").open("a", encoding="utf-8") as file:
        file.write(conftest)
    commit_tree(court.stack.proc, tree)
    release = folder / "release-r2"
    release.mkdir()
    return replace(court.base, tree=tree, release=release)


def run_pytest(court: Court, case: ThrowawayRelease, *more: str, limit_kb: int = 0) -> Exit:
    """How pytest ended in the tree; ``limit_kb``: no file can grow beyond it."""
    tree = case.tree
    words = ["-q", f"--rootdir={tree}", f"-c{tree / 'pyproject.toml'}", f"{tree}", *more]
    words = [*SPEC11[:2], "pytest", *words, "--spec11-scope=signoff"]
    words += [f"--spec11-dir={case.release}"]
    full = ["bash", "-c", f'ulimit -f {limit_kb}; exec "$@"', "limited", *words]
    env = court.stack.fill_process("api").env
    return court.stack.proc.run(full if limit_kb else words, env=env, deadline_s=RUN_S)


def keep_earlier_run(case: ThrowawayRelease, word: str) -> str:
    """A run of the same tree is kept in it, in which one test ended so; the node of that test."""
    run = case.tree / ".spec11" / "earlier"
    shutil.copytree(case.run, run)
    changed: list[str] = []

    def end_otherwise(lines: list[Line]) -> list[Line]:
        lines[0]["data"] |= {"runId": "earlier", "nonce": "earlier"}
        end = next(line["data"] for line in lines if line["kind"] == "outcome")
        end |= {"outcome": word, "phases": {**end["phases"], "call": word}}
        changed.append(end["node"])
        return lines

    rewritten(run / "journal-main.ndjson", end_otherwise)
    return changed[0]


@pytest.mark.claim("S15.non-pass-blocks")
@pytest.mark.parametrize("word", ["failed", "passed"])
def test_a_test_that_was_red_in_a_kept_run_of_the_tree_is_refused(
    court: Court, own: ThrowawayRelease, files: Files, word: str
) -> None:
    node = keep_earlier_run(own, word)
    out = own.release.parent / "out.json"

    done = court.stack.proc.run([*SPEC11, *own.gate_words("--out", str(out))])
    document = json.loads(files.read(out) or b"")

    red = [each["text"] for each in document["reasons"] if each["code"] == "E-FLAKY"]
    if word == "passed":
        assert (document["verdict"], done.code, red) == ("GO", 0, [])
        assert (document["kept"]["green"], document["kept"]["runs"]) == (2, 2)
    else:
        assert (document["verdict"], done.code) == ("NO_GO", 1)
        assert len(red) == len(document["reasons"]) == 1
        assert "red in 1 of 2 kept runs of this tree" in red[0]
        assert node in red[0]


INVENTORY = {
    "claim not run": "S00.holds",
    "renamed claim": "S00.helds",
    "the same run twice": "S00.holds",
}
OF_INVENTORY = {
    "claim not run": "E-NOT-RUN",
    "renamed claim": "E-UNKNOWN-CLAIM",
    "the same run twice": "E-DUPLICATE",
}


@pytest.mark.claim("S15.inventory-closed")
@pytest.mark.parametrize("name", sorted(INVENTORY))
def test_a_claim_that_is_missing_unknown_or_twice_is_refused_by_name(
    case: ThrowawayRelease, files: Files, name: str
) -> None:
    codes, spoil = JUDGED[name]
    spoil(case)

    said = ask_gate(files, case)

    assert (said.verdict, said.codes) == ("NO_GO", {*codes.split()})
    assert INVENTORY[name] in said.about(OF_INVENTORY[name])


@pytest.mark.claim("S15.inventory-closed")
def test_evidence_of_another_catalogue_is_refused(own: ThrowawayRelease, court: Court) -> None:
    assert ask_gate_process(court.stack.proc, own).verdict == "GO"
    path = own.tree / "catalogue.json"
    path.write_text(path.read_text().replace("S07 holds.", "S07 nearly holds."))
    commit_tree(court.stack.proc, own.tree)

    said = ask_gate_process(court.stack.proc, own)

    assert (said.verdict, said.status) == ("NO_GO", 1)
    assert said.codes == {"E-CATALOGUE", "E-COMMIT", "E-TREE"}


@pytest.mark.claim("S15.inventory-closed")
def test_a_slice_is_green_and_says_what_it_cannot_conclude(
    court: Court, files: Files, tmp_path: Path
) -> None:
    case = throwaway(court, tmp_path, holding("S02"))

    done = run_pytest(court, case, "-m", "S02")
    said = ask_gate(files, case)

    document = json.loads(case.gated_file.read_bytes())
    tiles = {tile["id"]: tile["verdict"] for tile in document["proofTiles"]}
    assert done.code == 0
    assert "S02  1 of 1 claims proven" in done.stdout
    assert "NO_GO for the release: 15 of 16 needed claims unproven" in done.stdout
    assert (said.verdict, said.codes) == ("NO_GO", {"E-NOT-RUN", "E-LANE", "E-WEAK-ORACLE"})
    assert said.about("E-NOT-RUN") == {*CLAIMS} - {"S02.holds"}
    assert [id_ for id_, word in tiles.items() if word == "GO"] == ["proof-s02"]


HOLDS = """
@pytest.mark.{scenario}
@pytest.mark.claim("{scenario}.holds")
{mark}
def test_{name}(api, files{fixture}):
    assert api.get("/{name}").json() == {{"path": "/{name}"}}
    assert files.read(ROOT / "system.py")
    {end}
"""
THREAD = """import threading
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()"""
BARE = """
@pytest.mark.S10
@pytest.mark.claim("S10.holds")
def test_s10(api, files):
    api.get("/s10").json() == {"path": "/s10"}
    files.read(ROOT / "system.py")
"""
SILENT = """
@pytest.mark.S11
@pytest.mark.claim("S11.holds")
def test_s11(api):
    assert api.get("/s11").json() == {"path": "/s11"}
"""
BLIND = """
@pytest.mark.S12
@pytest.mark.claim("S12.holds")
def test_s12():
    assert 1 + 1 == 2
"""
FIXTURES = """
@pytest.fixture
def breaks():
    raise RuntimeError("in setup")

@pytest.fixture
def leaves():
    yield
    raise RuntimeError("in teardown")
"""
QUIET = '@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")'
# The way in which a test is no proof, the mark or fixture for it, and the gate's word.
WAYS: dict[str, tuple[dict[str, str], str]] = {
    "S01": ({"mark": "@pytest.mark.skip"}, "E-SKIPPED"),
    "S02": ({"mark": "@pytest.mark.xfail", "end": "assert 1 == 2"}, "E-XFAIL"),
    "S03": ({"mark": "@pytest.mark.xfail(strict=False)"}, "E-XPASS"),
    "S04": ({"fixture": ", breaks"}, "E-ERROR"),
    "S05": ({"fixture": ", leaves"}, "E-ERROR"),
    "S06": ({"end": "assert 1 == 2"}, "E-FAILED"),
    "S07": ({"end": "TRIED.append(1)\n    assert len(TRIED) > 1"}, "E-FAILED E-RERUN"),
    "S08": ({"mark": QUIET, "end": THREAD}, "E-THREAD"),
    "S09": ({"end": "return False"}, "E-RETURN"),
}
OTHERS = {
    "S10": "E-NO-ASSERTION",
    "S11": "E-SOURCE",
    "S12": "E-EMPTY E-SOURCE",
    "S13": "E-DESELECTED",
}
RERUN = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    if item.name != "test_s07":
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if any(each.failed for each in reports):
        item._initrequest()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
"""


def no_proofs() -> str:
    """A test for each way in which pytest's green is no proof, and those that are."""
    empty = {"mark": "", "fixture": "", "end": ""}
    ways = "".join(
        HOLDS.format(scenario=each, name=each.lower(), **empty | how)
        for each, (how, _) in WAYS.items()
    )
    return f"TRIED = []\n{FIXTURES}{ways}{BARE}{SILENT}{BLIND}{holding('S00', 'S13')}"


@pytest.mark.claim("S15.non-pass-blocks")
def test_whatever_is_not_a_pass_is_a_reason_by_its_claim(
    court: Court, files: Files, tmp_path: Path
) -> None:
    case = throwaway(court, tmp_path, no_proofs(), RERUN)
    done = run_pytest(court, case, "-W", "default", "--deselect=test_rehearsal.py::test_s13")

    said = ask_gate(files, case)

    found = {claim: {code for code, about in said.reasons if about == claim} for claim in CLAIMS}
    wanted = {f"{scenario}.holds": code for scenario, (_, code) in WAYS.items()}
    wanted |= {f"{scenario}.holds": code for scenario, code in OTHERS.items()}
    assert done.code == 1
    assert (said.verdict, said.status) == ("NO_GO", 1)
    assert {claim: found[claim] for claim in wanted} == {
        claim: {*codes.split()} for claim, codes in wanted.items()
    }
    assert found["S00.holds"] == set()


@pytest.mark.claim("S15.non-pass-blocks")
def test_two_tests_of_one_name_are_an_error(court: Court, tmp_path: Path) -> None:
    case = throwaway(court, tmp_path, holding("S00", "S00"))

    done = run_pytest(court, case)

    assert done.code == 2
    assert "which never runs" in done.stdout


DYING = holding("S00") + HOLDS.format(
    scenario="S01", name="s01", mark="", fixture="", end="{death}"
).replace("{{", "{").replace("}}", "}") + holding("S02", "S03")  # fmt: skip
SILENCED = (
    "[each.unlink() for each in ROOT.parent.glob('release-r2/*/journal-gw*.ndjson')"
    " if each.stem.endswith(__import__('os').environ['PYTEST_XDIST_WORKER'])]"
)
DEATHS = {
    "exits": ("__import__('os')._exit(0)", (), {"E-UNSEALED", "E-CONSERVATION"}),
    "says it is done": (
        "pytest.exit('enough', returncode=0)", (), {"E-ERROR", "E-CONSERVATION"}
    ),
    "kills its worker": (
        "__import__('os').kill(__import__('os').getpid(), 9)", ("-n", "2"),
        {"E-LOST", "E-UNSEALED", "E-CONSERVATION"},
    ),
    "silences its worker": (
        SILENCED, ("-n", "2"), {"E-LOST", "E-CONSERVATION"}
    ),
}  # fmt: skip


@pytest.mark.claim("S15.truncation-blocks")
@pytest.mark.parametrize("name", sorted(DEATHS))
def test_a_run_that_ends_before_its_tests_is_never_go(
    court: Court, files: Files, tmp_path: Path, name: str
) -> None:
    death, more, codes = DEATHS[name]
    case = throwaway(court, tmp_path, DYING.replace("{death}", death))
    case.gated_file.write_bytes(court.base.signoff.read_bytes())

    run_pytest(court, case, *more)
    said = ask_gate(files, case)

    assert (said.verdict, said.status) == ("NO_GO", 1)
    assert codes <= said.codes
    run = bundle.load(case.bundles)
    lost = run.items.keys() - run.outcomes.keys()
    assert lost
    assert {each for each in said.about("E-CONSERVATION") if "::" in each} == lost
    assert len(run.items) == len(run.outcomes) + len(lost) == 4


@pytest.mark.claim("S15.truncation-blocks")
def test_a_disk_that_is_full_is_never_go(court: Court, files: Files, tmp_path: Path) -> None:
    case = throwaway(court, tmp_path, holding())

    done = run_pytest(court, case, limit_kb=16)
    said = ask_gate(files, case)

    (journal,) = case.release.glob("*/journal-main.ndjson")
    assert len(files.read(journal) or b"") <= 16 << 10
    assert done.code != 0
    assert said.verdict == "NO_GO"
    assert {"E-UNSEALED", "E-CONSERVATION"} & said.codes


@pytest.mark.claim("S15.truncation-blocks")
def test_a_journal_that_was_cut_anywhere_is_never_go(case: ThrowawayRelease, files: Files) -> None:
    whole = files.read(case.journal) or b""
    times = read(case.journal).times
    assert times is not None
    terms = Terms(now_ms=times.last, here=case.here, scope="signoff", policy=load(case.tree))
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    cuts = sorted({*ends[:-1], *(place - 1 for place in ends), *(place - 40 for place in ends)})
    verdicts = set()
    for place in cuts:
        case.journal.write_bytes(whole[:place])
        verdicts.add(judge(case.catalogue, bundle.load([case.run]), terms).verdict)
        assert not read(case.journal).sealed

    assert len(cuts) > 200
    assert verdicts == {"NO_GO"}


@pytest.mark.claim("S15.truncation-blocks")
def test_no_older_verdict_stands_in_for_a_bundle_that_is_gone(
    court: Court, case: ThrowawayRelease, files: Files
) -> None:
    words = case.gate_words("--out", str(case.signoff))
    shutil.rmtree(case.run)

    done = court.stack.proc.run([*SPEC11, *words])

    assert done.code == 3
    assert files.read(case.signoff) is None
    assert court.show(case).codes >= {"E-NO-EVIDENCE"}
