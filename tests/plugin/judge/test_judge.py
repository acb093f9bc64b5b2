from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_spec11 import binding, bundle, catalogue, journal
from pytest_spec11.bundle import Bundle, Leaf
from pytest_spec11.cli import main
from pytest_spec11.errors import BadInput, JournalBroken
from pytest_spec11.journal import Journal, Reading, Record
from pytest_spec11.judge import Verdict, judge
from pytest_spec11.summary import lines

A, B = "t.py::test_a", "t.py::test_b"
SCOPES = ["signoff", "live-smoke"]
DOCUMENT = {
    "scenarios": [
        {
            "id": "S1",
            "title": "First",
            "claims": [
                {"id": "S1.a", "text": "a", "sources": ["api", "sql:app"], "scopes": SCOPES},
                {"id": "S1.b", "text": "b", "sources": ["api"], "scopes": SCOPES},
                {
                    "id": "S1.k",
                    "text": "k",
                    "sources": ["api"],
                    "scopes": SCOPES,
                    "mandatory": False,
                },
            ],
        },
        {
            "id": "S2",
            "title": "Second",
            "claims": [
                {"id": "S2.live", "text": "l", "sources": ["api"], "scopes": ["live-smoke"]}
            ],
        },
    ]
}
Entry = tuple[str, dict[str, Any]]


def observed(node: str, source: str, **changes: Any) -> Entry:
    data: dict[str, Any] = {
        "node": node,
        "source": source,
        "ref": "r",
        "digest": "d",
        "size": 4,
        "blob": None,
        "facts": {},
        "empty": False,
    }
    return "observation", data | changes


def asserted(node: str) -> Entry:
    return "assertion", {"node": node, "line": 1, "text": "x == y"}


def ended(node: str, outcome: str = "passed", attempt: int = 1, **changes: Any) -> Entry:
    data: dict[str, Any] = {
        "node": node,
        "attempt": attempt,
        "outcome": outcome,
        "phases": {"setup": "passed", "call": "passed", "teardown": "passed"},
        "durationMs": 1,
        "claims": [],
        "reason": "",
    }
    return "outcome", data | changes


def collected(
    items: list[tuple[str, list[str]]], deselected: tuple[tuple[str, list[str]], ...] = ()
) -> Entry:
    return "collected", {
        "items": [{"node": node, "claims": claims, "scenarios": []} for node, claims in items],
        "deselected": [{"node": node, "claims": claims} for node, claims in deselected],
    }


def crew(expected: list[str], lost: list[str]) -> Entry:
    return "workers", {"expected": expected, "lost": lost}


@dataclass
class Stand:
    """A run in the making: change it, then write and judge it."""

    claims: catalogue.Catalogue
    bound: dict[str, Any]
    here: dict[str, Any] | None
    entries: list[Entry]
    scope: str = "signoff"
    now_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    role: str = "main"
    exit_status: int = 0
    sealed: bool = True
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    after: list[Callable[[Path], object]] = field(default_factory=list)

    def write(self, folder: Path) -> Path:
        self._journal(folder, self.role, self.bound, self.entries)
        for role, bound in self.others.items():
            self._journal(folder, role, bound, [])
        for damage in self.after:
            damage(folder)
        return folder

    def _journal(
        self, folder: Path, role: str, bound: dict[str, Any], entries: list[Entry]
    ) -> None:
        made = Journal(folder / f"journal-{role}.ndjson", folder / "blobs")
        made.blob(b"seen")
        made.start(runId="r1", nonce="n", role=role, pid=1, binding=bound)
        for kind, data in entries:
            made.write(kind, **data)
        if self.sealed:
            made.seal(exitStatus=self.exit_status)
        made.close()

    def judge(self, folder: Path) -> Verdict:
        return self.verdict(bundle.load([folder]))

    def verdict(self, evidence: Bundle) -> Verdict:
        return judge(self.claims, evidence, self.now_ms, self.here, self.scope)

    def in_memory(self, extra: list[Entry]) -> Bundle:
        head = {"runId": "r1", "nonce": "n", "role": "main", "pid": 1, "binding": self.bound}
        told = [("start", head), *self.entries, *extra, ("seal", {"exitStatus": 0})]
        records = tuple(
            Record(seq, kind, time.time_ns() // 1_000_000, data)
            for seq, (kind, data) in enumerate(told)
        )
        return Bundle((Leaf(Path("r/journal-main.ndjson"), Reading(records, None, True)),), ())  # noqa: FBT003


def happy(claims: catalogue.Catalogue) -> Stand:
    bound: dict[str, Any] = dict.fromkeys(binding.KEYS, "x")
    bound |= {"dirty": False, "catalogue": claims.digest, "scope": "signoff"}
    seen = sha256(b"seen").hexdigest()
    entries = [
        collected([(A, ["S1.a"]), (B, ["S1.b"])]),
        observed(A, "api", blob=seen),
        observed(A, "sql:app"),
        asserted(A),
        ended(A),
        observed(B, "api"),
        asserted(B),
        ended(B),
    ]
    return Stand(claims, bound, deepcopy(bound), entries)


def small(folder: Path) -> catalogue.Catalogue:
    path = folder / "catalogue.json"
    path.write_text(json.dumps(DOCUMENT))
    return catalogue.load(path)


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> catalogue.Catalogue:
    return small(tmp_path_factory.mktemp("catalogue"))


def test_whole_and_fresh_evidence_of_this_tree_is_go(
    tmp_path: Path, claims: catalogue.Catalogue
) -> None:
    stand = happy(claims)
    found = stand.judge(stand.write(tmp_path / "run"))
    assert found.reasons == ()
    assert found.verdict == "GO"
    assert dict(found.claims) == {
        "S1.a": "PASS",
        "S1.b": "PASS",
        "S1.k": "UNKNOWN",
        "S2.live": "UNKNOWN",
    }


Change = Callable[[Stand], object]


def setting(**changes: Any) -> Change:
    return lambda stand: stand.__dict__.update(changes)


def both(*changes: Change) -> Change:
    return lambda stand: [change(stand) for change in changes]


def bound(**changes: Any) -> Change:
    return lambda stand: stand.bound.update(changes)


def here(**changes: Any) -> Change:
    return lambda stand: stand.here.update(changes) if stand.here is not None else None


def adding(*entries: Entry) -> Change:
    return lambda stand: stand.entries.extend(deepcopy(entries))


def without(*places: int) -> Change:
    def change(stand: Stand) -> None:
        stand.entries = [it for place, it in enumerate(stand.entries) if place not in places]

    return change


def instead(place: int, entry: Entry) -> Change:
    return lambda stand: stand.entries.__setitem__(place, deepcopy(entry))


def other(role: str, **changes: Any) -> Change:
    return lambda stand: stand.others.__setitem__(role, stand.bound | changes)


def later(damage: Callable[[Path], object]) -> Change:
    return lambda stand: stand.after.append(damage)


def rewrite(change: Callable[[bytes], bytes]) -> Change:
    def damage(folder: Path) -> None:
        path = folder / "journal-main.ndjson"
        path.write_bytes(change(path.read_bytes()))

    return later(damage)


def every_blob(change: Callable[[Path], object]) -> Change:
    return later(lambda folder: [change(path) for path in (folder / "blobs").glob("*/*")])


def lines_of(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True)


def move_now(hours: float) -> Change:
    def change(stand: Stand) -> None:
        stand.now_ms += int(hours * 3_600_000)

    return change


DAMAGES: dict[str, tuple[str, Change]] = {
    "empty journal": ("E-NO-EVIDENCE", rewrite(lambda _: b"")),
    "random bytes": ("E-CHAIN", rewrite(lambda _: b"\xff\x00[[[\n")),
    "no seal": ("E-UNSEALED", setting(sealed=False)),
    "torn seal": ("E-TRUNCATED", rewrite(lambda it: it[:-1])),
    "edited value": ("E-CHAIN", rewrite(lambda it: it.replace(b'"x == y"', b'"x == z"', 1))),
    "line removed": ("E-CHAIN", rewrite(lambda it: b"".join(lines_of(it)[:2] + lines_of(it)[3:]))),
    "lines swapped": ("E-CHAIN", rewrite(lambda it: b"".join(reversed(lines_of(it))))),
    "after the seal": ("E-CHAIN", rewrite(lambda it: it + lines_of(it)[-1])),
    "worker missing": ("E-LOST", adding(crew(["gw0"], []))),
    "worker lost": ("E-LOST", both(adding(crew(["gw0"], ["gw0"])), other("gw0"))),
    "worker unexpected": ("E-LOST", other("gw7")),
    "no main journal": ("E-LOST", setting(role="gw0")),
    "controller without workers": ("E-LOST", setting(role="controller")),
    "interrupted": ("E-ERROR", setting(exit_status=2)),
    "never ended": ("E-CONSERVATION", without(7)),
    "never collected": ("E-CONSERVATION", adding(ended("t.py::test_c"))),
    "a day old": ("E-STALE", move_now(24.1)),
    "ahead of the clock": ("E-FUTURE", move_now(-0.1)),
    "dirty": ("E-DIRTY", bound(dirty=True)),
    "dirty here": ("E-DIRTY", here(dirty=True)),
    "tree": ("E-TREE", here(tree="y")),
    "tree among journals": ("E-TREE", both(adding(crew(["gw0"], [])), other("gw0", tree="y"))),
    "commit": ("E-COMMIT", bound(commit="y")),
    "catalogue": ("E-CATALOGUE", both(bound(catalogue="y"), here(catalogue="y"))),
    "app version": ("E-APPVERSION", bound(appVersion="y")),
    "lock": ("E-BINDING", bound(lock="y")),
    "no tree to compare": ("E-BINDING", setting(here=None)),
    "binding without tree": ("E-BINDING", lambda it: it.bound.pop("tree")),
    "scope": ("E-SCOPE", setting(scope="live-smoke")),
    "scope nobody claims": ("E-SCOPE", setting(scope="nothing")),
    "demo": ("claim_scope_demo", setting(scope="demo")),
    "demo run": ("claim_scope_demo", bound(scope="demo")),
    "unknown claim": (
        "E-UNKNOWN-CLAIM",
        instead(0, collected([(A, ["S1.a"]), (B, ["S1.b", "S1.bb"])])),
    ),
    "blob missing": ("E-REF", every_blob(Path.unlink)),
    "blob elsewhere": ("E-REF", instead(2, observed(A, "sql:app", blob="../../etc/passwd"))),
    "blob altered": ("E-DIGEST", every_blob(lambda path: path.write_bytes(b"scene"))),
    "not run": ("E-NOT-RUN", both(instead(0, collected([(A, ["S1.a"])])), without(5, 6, 7))),
    "failed": ("E-FAILED", instead(7, ended(B, "failed"))),
    "failed without claims": (
        "E-FAILED",
        adding(collected([("t.py::c", [])]), ended("t.py::c", "failed")),
    ),
    "failed optional": (
        "E-FAILED",
        adding(collected([("t.py::c", ["S1.k"])]), ended("t.py::c", "failed")),
    ),
    "error": ("E-ERROR", instead(7, ended(B, "error"))),
    "failed teardown": ("E-ERROR", instead(7, ended(B, phases={"teardown": "failed"}))),
    "skipped": ("E-SKIPPED", instead(7, ended(B, "skipped"))),
    "xfailed": ("E-XFAIL", instead(7, ended(B, "xfailed"))),
    "xpassed": ("E-XPASS", instead(7, ended(B, "xpassed"))),
    "two outcomes": ("E-RERUN", adding(ended(B))),
    "second attempt": ("E-RERUN", instead(7, ended(B, attempt=2))),
    "deselected": ("E-DESELECTED", adding(collected([], (("t.py::c", ["S1.b"]),)))),
    "observed nothing": ("E-EMPTY", without(5)),
    "observed emptiness": ("E-EMPTY", instead(5, observed(B, "api", empty=True))),
    "no assertion": ("E-NO-ASSERTION", without(6)),
    "asserted before": ("E-NO-ASSERTION", lambda it: it.entries.insert(5, it.entries.pop(6))),
    "source missing": ("E-SOURCE", without(2)),
    "source of no bytes": (
        "E-SOURCE",
        instead(2, observed(A, "sql:app", digest=sha256().hexdigest())),
    ),
    "source empty": ("E-SOURCE", instead(2, observed(A, "sql:app", size=0))),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_has_its_code_and_a_way_out(
    name: str, tmp_path: Path, claims: catalogue.Catalogue
) -> None:
    code, damage = DAMAGES[name]
    stand = happy(claims)
    damage(stand)
    found = stand.judge(stand.write(tmp_path / "run"))
    assert found.verdict == "NO_GO"
    assert code in {item.code for item in found.reasons}
    assert all(item.remedy and item.command and item.text for item in found.reasons)


def test_a_journal_cut_anywhere_is_never_go(tmp_path: Path, claims: catalogue.Catalogue) -> None:
    stand = happy(claims)
    folder = stand.write(tmp_path / "run")
    path = folder / "journal-main.ndjson"
    content = path.read_bytes()
    for end in range(len(content) - 1, -1, -1):
        with path.open("r+b") as file:
            file.truncate(end)
        assert stand.judge(folder).verdict == "NO_GO", end


def test_a_flipped_byte_is_never_go(tmp_path: Path, claims: catalogue.Catalogue) -> None:
    stand = happy(claims)
    folder = stand.write(tmp_path / "run")
    path = folder / "journal-main.ndjson"
    content = path.read_bytes()
    for place in [*range(0, len(content) - 900, 3), *range(len(content) - 900, len(content))]:
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert stand.judge(folder).verdict == "NO_GO", place


BAD: list[Entry] = [
    *(ended(node, end) for node in (A, B) for end in sorted(journal.OUTCOMES - {"passed"})),
    collected([], (("t.py::c", ["S1.a"]),)),
    collected([("t.py::c", ["S1.b"])]),
    collected([(A, ["S9.unknown"])]),
    crew(["gw0"], []),
    crew([], ["gw1"]),
]
NOTHING: list[Entry] = [
    observed(A, "sql:app", empty=True),
    observed(B, "api", size=0),
    ("note", {"verdict": "GO"}),
]
LOGICAL = [
    "never ended",
    "dirty",
    "tree",
    "commit",
    "a day old",
    "demo",
    "not run",
    "failed",
    "skipped",
    "xfailed",
    "deselected",
    "observed nothing",
    "no assertion",
    "source missing",
    "scope",
]


@settings(max_examples=150, deadline=None)
@given(
    flaw=st.sampled_from(LOGICAL),
    less=st.lists(st.sampled_from(BAD + NOTHING), max_size=3),
    more=st.lists(st.sampled_from(BAD + NOTHING), max_size=3),
)
def test_more_bad_evidence_never_helps(
    flaw: str,
    less: list[Entry],
    more: list[Entry],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    stand = happy(small(tmp_path_factory.getbasetemp()))
    DAMAGES[flaw][1](stand)
    before = stand.verdict(stand.in_memory(less))
    after = stand.verdict(stand.in_memory(less + more))
    assert before.verdict == after.verdict == "NO_GO"
    proven = {key for key, value in after.claims.items() if value == "PASS"}
    assert proven <= {key for key, value in before.claims.items() if value == "PASS"}


@pytest.mark.parametrize("entry", BAD, ids=[f"{kind}-{at}" for at, (kind, _) in enumerate(BAD)])
def test_one_bad_record_turns_go_into_no_go(entry: Entry, claims: catalogue.Catalogue) -> None:
    stand = happy(claims)
    assert stand.verdict(stand.in_memory(NOTHING)).verdict == "GO"
    assert stand.verdict(stand.in_memory([entry])).verdict == "NO_GO"


def test_an_end_before_the_start_is_a_matter_of_time(claims: catalogue.Catalogue) -> None:
    stand = happy(claims)
    leaf = stand.in_memory([]).leaves[0]
    *head, last = leaf.reading.records
    early = Record(last.seq, last.kind, head[0].at - 1, last.data)
    reading = Reading((*head, early), None, sealed=True)
    found = stand.verdict(Bundle((Leaf(leaf.path, reading),), ()))
    assert {item.code for item in found.reasons} == {"E-TIME"}


def test_no_journal_at_all_is_no_evidence(claims: catalogue.Catalogue) -> None:
    found = happy(claims).verdict(Bundle((), ()))
    assert found.reasons[0].code == "E-NO-EVIDENCE"


def test_nothing_follows_a_seal_or_a_record_that_was_refused(tmp_path: Path) -> None:
    made = Journal(tmp_path / "journal-main.ndjson", tmp_path / "blobs")
    made.start(runId="r", nonce="n", role="main", pid=1, binding={})
    with pytest.raises(JournalBroken):
        made.write("note", what=float("nan"))
    with pytest.raises(JournalBroken):
        made.seal(exitStatus=0)
    made.close()
    assert not journal.read(made.path).sealed
    with pytest.raises(JournalBroken):
        Journal(made.path, tmp_path / "blobs")


def test_links_and_crowds_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, claims: catalogue.Catalogue
) -> None:
    folder = happy(claims).write(tmp_path / "run")
    monkeypatch.setattr(bundle, "MAX_FILES", 2)
    with pytest.raises(BadInput, match="more than 2"):
        bundle.load([folder])
    monkeypatch.undo()
    (folder / "blobs" / "link").symlink_to("/etc/passwd")
    with pytest.raises(BadInput, match="link"):
        bundle.load([folder])
    (folder / "blobs" / "link").unlink()
    (folder / "journal-gw0.ndjson").symlink_to(folder / "journal-main.ndjson")
    with pytest.raises(BadInput, match="regular"):
        bundle.load([folder])


def test_the_packaged_catalogue_is_whole() -> None:
    found = catalogue.load()
    assert len(found.claims) == 233
    assert found.closest("S02.replay-same-worklow") == "S02.replay-same-workflow"
    assert found.find("S02.no-such") is None


def test_the_summary_is_one_line_per_scenario(claims: catalogue.Catalogue) -> None:
    stand = happy(claims)
    instead(7, ended(B, "failed"))(stand)
    found = lines(stand.verdict(stand.in_memory([])), claims, {"S1"})
    assert found[:2] == [
        "S1  1/3 proven   unproven: b (E-FAILED), k (UNKNOWN)",
        "not run: S2 (1 claims)",
    ]
    assert found[2].startswith("verdict: NO_GO, first reason: E-FAILED S1.b")


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)  # noqa: S603, S607


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "code.py").write_text("x = 1\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    return folder


@pytest.fixture
def gate(tmp_path: Path, tree: Path) -> Callable[..., int]:
    found = small(tmp_path)
    stand = happy(found)
    stand.bound = dict(binding.measure(tree, "v1", "signoff", found.digest))
    stand.write(tmp_path / "run")
    catalogue_path = str(tmp_path / "catalogue.json")

    def call(*words: object) -> int:
        given_ = [str(word) for word in words]
        return main(["gate", *given_, "--root", str(tree), "--catalogue", catalogue_path])

    return call


def test_the_gate_says_go_by_status_0(
    gate: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "signoff.json"
    assert gate(tmp_path / "run", "--out", out) == 0
    assert capsys.readouterr().out.endswith("verdict: GO\n")
    assert json.loads(out.read_text())["verdict"] == "GO"
    assert gate(tmp_path / "run", "--json", "--app-version", "v2") == 1
    assert json.loads(capsys.readouterr().out)["reasons"][0]["code"] == "E-APPVERSION"
    assert gate(tmp_path / "nowhere", "--out", out) == 3
    assert not out.exists()


def test_an_edit_hidden_from_git_status_is_still_seen(
    gate: Callable[..., int], tree: Path, tmp_path: Path
) -> None:
    index = (tree / ".git" / "index").read_bytes()
    (tree / "new.py").write_text("")
    assert gate(tmp_path / "run") == 1
    assert (tree / ".git" / "index").read_bytes() == index
    (tree / "new.py").unlink()
    assert gate(tmp_path / "run") == 0
    git(tree, "update-index", "--assume-unchanged", "code.py")
    (tree / "code.py").write_text("x = 2\n")
    assert gate(tmp_path / "run") == 1


def test_a_tree_that_git_cannot_read_gets_no_verdict(
    gate: Callable[..., int], tree: Path, tmp_path: Path
) -> None:
    (tree / ".git" / "HEAD").write_text("nonsense")
    assert gate(tmp_path / "run") == 2


def test_garbage_is_bad_input_or_no_go_never_go(
    gate: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "void").mkdir()
    assert gate(tmp_path / "void") == 3
    assert gate(tmp_path / "missing") == 3
    assert gate(tmp_path / "catalogue.json") == 3
    (tmp_path / "void" / "journal-main.ndjson").write_bytes(bytes(range(256)) * 9)
    assert gate(tmp_path / "void") == 1
    assert gate(tmp_path / "run", tmp_path / "void") == 1
    monkeypatch.setattr("pytest_spec11.cli.gate.judge", None)
    assert gate(tmp_path / "run") == 4


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([], 3),
        (["gate"], 3),
        (["gate", "x", "--no-such"], 3),
        (["claims", "-m", "S99"], 3),
        (["claims", "-m", "S02"], 0),
        (["claims", "--markdown"], 0),
        (["claims", "--json"], 0),
        (["--help"], 0),
    ],
)
def test_usage_errors_are_status_3(words: list[str], status: int) -> None:
    assert main(words) == status
