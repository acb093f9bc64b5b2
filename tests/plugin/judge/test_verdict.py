from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_spec11.evidence import bundle, record_shapes
from pytest_spec11.evidence.bundle import Bundle
from pytest_spec11.requirements import catalogue
from pytest_spec11.requirements.policy import Policy
from tests.plugin.judge.stand import (
    A,
    B,
    Change,
    Entry,
    Stand,
    adding,
    both,
    change_binding,
    collection_entry,
    crew,
    every_blob,
    happy,
    here,
    instead,
    later,
    lines_of,
    move_now,
    observation_entry,
    other,
    outcome_entry,
    rewrite,
    setting,
    small,
    without,
    write_lane,
)


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


SEEN = sha256(b"seen").hexdigest()


def void(code: str) -> dict[str, str]:
    return {"code": code, "text": "why"}


def renamed_blob(content: bytes) -> Change:
    """A blob edited together with its name."""
    name = sha256(content).hexdigest()

    def change(path: Path) -> None:
        path.unlink()
        (path.parent.parent / name[:2]).mkdir(exist_ok=True)
        (path.parent.parent / name[:2] / name).write_bytes(content)

    return every_blob(change)


def defining(*tests: tuple[str, int]) -> Change:
    """The files of the tree define these tests."""
    listed = [{"place": place, "line": line} for place, line in tests]
    return lambda stand: stand.entries[0][1].update(defined=listed)


def foreign(folder: Path) -> None:
    """A journal of another run lies beside."""
    again = happy(small(folder.parent))
    again.run, again.role = "r2", "gw0"
    again.write(folder.parent / "other")
    (folder.parent / "other" / "journal-gw0.ndjson").rename(folder / "journal-gw0.ndjson")


def only_lane(folder: Path) -> None:
    (folder / "journal-main.ndjson").unlink()
    write_lane(folder, "quick", {})


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
    "never collected": ("E-CONSERVATION", adding(outcome_entry("t.py::test_c"))),
    "a day old": ("E-STALE", move_now(24.1)),
    "ahead of the clock": ("E-FUTURE", move_now(-0.1)),
    "dirty": ("E-DIRTY", change_binding(dirty=True)),
    "dirty here": ("E-DIRTY", here(dirty=True)),
    "tree": ("E-TREE", here(tree="y")),
    "tree among journals": ("E-TREE", both(adding(crew(["gw0"], [])), other("gw0", tree="y"))),
    "commit": ("E-COMMIT", change_binding(commit="y")),
    "catalogue": ("E-CATALOGUE", both(change_binding(catalogue="y"), here(catalogue="y"))),
    "app version": ("E-APPVERSION", change_binding(appVersion="y")),
    "app version, none asked for": (
        "E-APPVERSION",
        both(here(appVersion=""), adding(crew(["gw0"], [])), other("gw0", appVersion="y")),
    ),
    "no app version": ("E-BINDING", both(here(appVersion=""), change_binding(appVersion=""))),
    "no commit": ("E-BINDING", both(here(commit=""), change_binding(commit=""))),
    "lock": ("E-BINDING", change_binding(lock="y")),
    "no tree to compare": ("E-BINDING", setting(here=None)),
    "binding without tree": ("E-BINDING", lambda it: it.bound.pop("tree")),
    "scope": ("E-SCOPE", setting(scope="live-smoke")),
    "scope nobody claims": ("E-SCOPE", setting(scope="nothing")),
    "demo": ("claim_scope_demo", setting(scope="demo")),
    "demo run": ("claim_scope_demo", change_binding(scope="demo")),
    "policy": ("E-POLICY", here(policy="y")),
    "marker moved": ("E-POLICY", instead(7, outcome_entry(B, claims=["S1.k"]))),
    "mandatory, and not proven": ("E-NOT-RUN", setting(policy=Policy(mandatory=("S2.live",)))),
    "mandatory, and not known": (
        "E-UNKNOWN-CLAIM",
        setting(policy=Policy(mandatory=("S2.no-such",))),
    ),
    "older than the policy allows": (
        "E-STALE",
        both(setting(policy=Policy(max_age_h=1)), move_now(1.1)),
    ),
    "shard missing": ("E-SHARD", setting(shards=frozenset({"one"}))),
    "shard of the policy missing": ("E-SHARD", setting(policy=Policy(shards=("one",)))),
    "another run's journal": ("E-REPLAY", later(foreign)),
    "no journal but a document": ("E-NO-EVIDENCE", later(only_lane)),
    "lane nobody asked for": ("E-LANE", later(lambda folder: write_lane(folder, "quick", {}))),
    "unknown claim": (
        "E-UNKNOWN-CLAIM",
        instead(0, collection_entry([(A, ["S1.a"]), (B, ["S1.b", "S1.bb"])])),
    ),
    "blob missing": ("E-REF", every_blob(Path.unlink)),
    "blob elsewhere": (
        "E-REF",
        instead(2, observation_entry(A, "sql:app", blob="../../etc/passwd")),
    ),
    "blob of another name": ("E-REF", renamed_blob(b"scene")),
    "blob of another size": (
        "E-DIGEST",
        instead(1, observation_entry(A, "api", blob=SEEN, digest=SEEN)),
    ),
    "blob of another digest": (
        "E-DIGEST",
        instead(1, observation_entry(A, "api", blob=SEEN, size=4)),
    ),
    "facts of another digest": (
        "E-DIGEST",
        instead(2, observation_entry(A, "sql:app", facts={"rows": 1})),
    ),
    "facts of another size": ("E-DIGEST", instead(2, observation_entry(A, "sql:app", size=3))),
    "blob altered": ("E-DIGEST", every_blob(lambda path: path.write_bytes(b"scene"))),
    "not run": ("E-NOT-RUN", both(instead(0, collection_entry([(A, ["S1.a"])])), without(5, 6, 7))),
    "failed": ("E-FAILED", instead(7, outcome_entry(B, "failed"))),
    "failed without claims": (
        "E-FAILED",
        adding(collection_entry([("t.py::c", [])]), outcome_entry("t.py::c", "failed")),
    ),
    "failed optional": (
        "E-FAILED",
        adding(collection_entry([("t.py::c", ["S1.k"])]), outcome_entry("t.py::c", "failed")),
    ),
    "error": ("E-ERROR", instead(7, outcome_entry(B, "error"))),
    "failed teardown": ("E-ERROR", instead(7, outcome_entry(B, phases={"teardown": "failed"}))),
    "skipped": ("E-SKIPPED", instead(7, outcome_entry(B, "skipped"))),
    "xfailed": ("E-XFAIL", instead(7, outcome_entry(B, "xfailed"))),
    "xpassed": ("E-XPASS", instead(7, outcome_entry(B, "xpassed"))),
    "failed in a thread": (
        "E-THREAD",
        instead(7, outcome_entry(B, "failed", voids=[void("E-THREAD")])),
    ),
    "returned a value": (
        "E-RETURN",
        instead(7, outcome_entry(B, "failed", voids=[void("E-RETURN")])),
    ),
    "void for no known reason": (
        "E-FAILED",
        instead(7, outcome_entry(B, voids=[void("E-HARMLESS")])),
    ),
    "void but passed": ("E-THREAD", instead(7, outcome_entry(B, voids=[void("E-THREAD")]))),
    "better than seen": (
        "E-CONTRADICTION",
        instead(7, outcome_entry(B, witness={"call": "failed"})),
    ),
    "skipped, but failed": (
        "E-CONTRADICTION",
        instead(
            7, outcome_entry(B, "skipped", phases={"call": "skipped"}, witness={"call": "failed"})
        ),
    ),
    "never seen to run": (
        "E-CONTRADICTION",
        instead(7, outcome_entry(B, witness={"setup": "passed"})),
    ),
    "left out of its file": ("E-SHADOWED", defining((A, 1), ("t.py::c", 9))),
    "left out with its file": ("E-NOT-COLLECTED", defining(("u.py::c", 9))),
    "took another's place": ("E-SHADOWED", defining((B, 1), (B, 9))),
    "failed, on no record": ("E-CONSERVATION", setting(exit_status=1)),
    "two outcomes": ("E-RERUN", adding(outcome_entry(B))),
    "second attempt": ("E-RERUN", instead(7, outcome_entry(B, attempt=2))),
    "deselected": ("E-DESELECTED", adding(collection_entry([], (("t.py::c", ["S1.b"]),)))),
    "observed nothing": ("E-EMPTY", without(5)),
    "observed emptiness": ("E-EMPTY", instead(5, observation_entry(B, "api", empty=True))),
    "no assertion": ("E-NO-ASSERTION", without(6)),
    "asserted before": ("E-NO-ASSERTION", lambda it: it.entries.insert(5, it.entries.pop(6))),
    "source missing": ("E-SOURCE", without(2)),
    "source of no bytes": (
        "E-SOURCE",
        instead(2, observation_entry(A, "sql:app", digest=sha256().hexdigest())),
    ),
    "source empty": ("E-SOURCE", instead(2, observation_entry(A, "sql:app", size=0))),
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
    *(
        outcome_entry(node, end)
        for node in (A, B)
        for end in sorted(record_shapes.OUTCOMES - {"passed"})
    ),
    collection_entry([], (("t.py::c", ["S1.a"]),)),
    collection_entry([("t.py::c", ["S1.b"])]),
    collection_entry([(A, ["S9.unknown"])]),
    crew(["gw0"], []),
    crew([], ["gw1"]),
]
NOTHING: list[Entry] = [
    observation_entry(A, "sql:app", empty=True),
    observation_entry(B, "api", size=0),
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


@settings(max_examples=150)
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
    seen = stand.in_memory([])
    reading = seen.leaves[0].reading
    assert reading.times is not None
    early = reading.times._replace(last=reading.times.first - 1, earliest=reading.times.first - 1)
    leaf = replace(seen.leaves[0], reading=replace(reading, times=early))
    found = stand.verdict(replace(seen, leaves=(leaf,)))
    assert {item.code for item in found.reasons} == {"E-TIME"}


def test_no_journal_at_all_is_no_evidence(claims: catalogue.Catalogue) -> None:
    found = happy(claims).verdict(Bundle((), ()))
    assert found.reasons[0].code == "E-NO-EVIDENCE"


def shards(folder: Path, claims: catalogue.Catalogue) -> tuple[Path, Path]:
    """Two runs of halves: each leaves the other's test out."""
    first, second = happy(claims), happy(claims)
    first.entries = [collection_entry([(A, ["S1.a"])], ((B, ["S1.b"]),)), *first.entries[1:5]]
    second.run = "r2"
    second.entries = [collection_entry([(B, ["S1.b"])], ((A, ["S1.a"]),)), *second.entries[5:]]
    return first.write(folder / "one"), second.write(folder / "two")


def codes(stand: Stand, *folders: Path) -> list[str]:
    return [each.code for each in stand.verdict(bundle.load(folders)).reasons]


def test_halves_are_no_release_and_together_they_are(
    tmp_path: Path, claims: catalogue.Catalogue
) -> None:
    one, two = shards(tmp_path, claims)
    stand = happy(claims)
    assert codes(stand, one) == codes(stand, two) == ["E-DESELECTED"]
    assert codes(stand, one, two) == []


def test_a_test_recorded_by_two_runs_proves_nothing(
    tmp_path: Path, claims: catalogue.Catalogue
) -> None:
    one, _ = shards(tmp_path, claims)
    again = happy(claims)
    again.run = "r2"
    assert codes(again, one, again.write(tmp_path / "again")) == ["E-DUPLICATE"]


def test_one_bundle_given_twice_is_no_second_shard(
    tmp_path: Path, claims: catalogue.Catalogue
) -> None:
    folder = happy(claims).write(tmp_path / "run")
    assert set(codes(happy(claims), folder, folder)) == {"E-LOST", "E-RERUN"}
