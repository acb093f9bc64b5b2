"""What is folded while a bundle is read is what a search through all records finds."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_spec11.canon import NotCanonical, canonical, parse_line
from pytest_spec11.evidence import bundle
from pytest_spec11.evidence.bundle import Bundle
from pytest_spec11.judge import Case
from pytest_spec11.verdict.signoff import Signoff
from pytest_spec11.verdict.weakenings import Weakenings
from tests.plugin.judge import materialised
from tests.plugin.judge.catalogues import COMMITTED
from tests.plugin.judge.stand import (
    A,
    B,
    Entry,
    Stand,
    assertion_entry,
    collection_entry,
    crew,
    happy,
    observation_entry,
    outcome_entry,
    small,
)

NODES = st.sampled_from([A, B, "t.py::test_other", ""])
CLAIMS = st.lists(st.sampled_from(["S1.a", "S1.b", "S1.k", "S9.unknown"]), max_size=2)
WORDS = ("passed", "failed", "skipped", "error")
VOIDS: list[dict[str, str]] = [{"code": "E-THREAD", "text": "t"}, {"text": "no code"}]


@st.composite
def observations(draw: st.DrawFn, kept: list[bytes]) -> Entry:
    """An observation: of facts or of kept bytes, real or empty, stated right or wrong."""
    node, source = draw(NODES), draw(st.sampled_from(["api", "sql:app", "file"]))
    facts = draw(st.sampled_from([{}, {"a": 1.5}, {"facts": {"node": 1}}, {"é": "\U0001f600"}]))
    content = canonical(facts)
    changes: dict[str, Any] = {"facts": facts, "size": len(content)}
    changes["digest"] = sha256(content).hexdigest()
    if draw(st.booleans()):
        content = draw(st.sampled_from(kept))
        name = sha256(content).hexdigest()
        changes |= {"blob": name, "digest": name, "size": len(content)}
    if draw(st.integers(0, 9)) == 0:
        changes |= draw(
            st.sampled_from([{"digest": "0" * 64}, {"size": 0}, {"blob": "f" * 64}, {"blob": ""}])
        )
    changes |= draw(st.sampled_from([{}, {}, {"lateFor": A}, {"about": {"facts": {}}}]))
    return observation_entry(node, source, empty=draw(st.integers(0, 5)) == 0, **changes)


@st.composite
def outcomes(draw: st.DrawFn) -> Entry:
    """How a test ended: once or again, with any word, phase, doubt and message."""
    phases = {"setup": "passed", "call": draw(st.sampled_from(WORDS))}
    return outcome_entry(
        draw(NODES),
        draw(st.sampled_from(WORDS)),
        draw(st.integers(1, 2)),
        phases=phases,
        claims=draw(CLAIMS),
        voids=draw(st.lists(st.sampled_from(VOIDS), max_size=2)),
        message=draw(st.sampled_from(["", "500 == 200"])),
    )


@st.composite
def listings(draw: st.DrawFn) -> Entry:
    """What was collected and what was left out."""
    listed = st.lists(st.tuples(NODES, CLAIMS), max_size=3)
    kind, data = collection_entry(draw(listed), tuple(draw(listed)))
    places = st.fixed_dictionaries({"place": NODES, "line": st.integers(1, 3)})
    return kind, data | {"defined": draw(st.lists(places, max_size=3))}


@st.composite
def readings(draw: st.DrawFn) -> Entry:
    """What a process says that it read."""
    files = st.fixed_dictionaries(
        {"path": st.sampled_from(["a.py", "b.json"]), "kind": st.sampled_from(["code", "input"])}
    )
    said = {"foreign": draw(st.lists(files, max_size=3)), "heard": draw(st.booleans())}
    return "surroundings", {**COMMITTED, **said, "faults": draw(st.sampled_from([[], ["open"]]))}


KEPT = [b"seen", b"also seen", b""]
ENTRIES = st.lists(
    st.one_of(
        observations(KEPT),
        observations(KEPT),
        NODES.map(assertion_entry),
        outcomes(),
        listings(),
        readings(),
        st.sampled_from([crew(["gw0"], []), crew([], ["gw1"]), ("note", {"node": A})]),
    ),
    max_size=25,
)


def write_runs(folder: Path, stand: Stand, more: list[tuple[str, str, list[Entry], bool]]) -> None:
    """A directory for each run, with a journal for each of its roles."""
    whole = stand.entries
    for number, (run, role, entries, sealed) in enumerate(more):
        stand.run, stand.role, stand.sealed = run, role, sealed
        stand.entries = [*(whole if number == 0 else []), *entries]
        if not (folder / run / f"journal-{role}.ndjson").exists():
            stand.write(folder / run)


JOURNALS = st.lists(
    st.tuples(
        st.sampled_from(["r1", "r2"]),
        st.sampled_from(["main", "controller", "gw0"]),
        ENTRIES,
        st.integers(0, 9).map(bool),
    ),
    min_size=1,
    max_size=4,
)


def say(stand: Stand, evidence: Bundle) -> tuple[Any, ...]:
    """All that is ever said of evidence: verdict, reasons in their order, standings, sign-off."""
    verdict = stand.verdict(evidence)
    signoff = Signoff(Case(stand.claims, evidence, stand.terms), verdict, Weakenings("", ()))
    reasons = [asdict(each) for each in verdict.reasons]
    return verdict.verdict, reasons, [*verdict.claims.items()], json.dumps(signoff.document())


@settings(max_examples=100, deadline=None)
@given(more=JOURNALS, spoilt=st.sampled_from(["", "altered", "emptied", "cut", "joined"]))
def test_the_fold_says_what_all_records_say(
    more: list[tuple[str, str, list[Entry], bool]], spoilt: str
) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        stand = happy(small(folder))
        stand.kept, stand.is_mutated = [*stand.kept, *KEPT], False
        write_runs(folder, stand, more)
        runs = sorted(path for path in folder.iterdir() if path.is_dir())
        spoil(spoilt, runs[0])

        folded, held = bundle.load(runs), materialised.load(runs)

        assert folded == held
        assert bundle.merge([bundle.load([run]) for run in runs]) == folded
        assert say(stand, folded) == say(stand, held)


def spoil(how: str, run: Path) -> None:
    """Damage bytes that a journal refers to, or the journal."""
    blob = next(iter(sorted(run.glob("blobs/*/*"))))
    journal = next(iter(sorted(run.glob("journal-*"))))
    if how in {"altered", "emptied"}:
        blob.write_bytes(b"other" if how == "altered" else b"")
    if how == "cut":
        journal.write_bytes(journal.read_bytes()[:-30])
    if how == "joined":
        journal.write_bytes(journal.read_bytes().replace(b'"line":', b'"line": ', 1))


# JSON as anybody may write it, with numbers and text that few writers write alike.
TEXTS = st.text(st.characters(codec="utf-8", max_codepoint=0x1F600), max_size=4)
NUMBERS = st.one_of(
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, 1e15, 1e16, 1e21, 1e-5, 1e-7, 123456789012345680.0]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def decide(line: bytes) -> Any:
    """The slow way: read it, write it anew, compare."""
    value = json.loads(line)
    if canonical(value) + b"\n" != line:
        raise NotCanonical
    return value


def answer(way: Any, line: bytes) -> tuple[str, Any]:
    try:
        return "value", way(line)
    except NotCanonical:
        return "not canonical", None
    except (ValueError, TypeError, RecursionError):
        return "not JSON", None


@settings(max_examples=600, deadline=None)
@given(
    value=VALUES,
    style=st.fixed_dictionaries(
        {
            "ensure_ascii": st.booleans(),
            "sort_keys": st.booleans(),
            "separators": st.sampled_from([(",", ":"), (",", ":"), (", ", ":")]),
        }
    ),
)
def test_the_quick_reading_of_a_line_agrees_with_the_slow_one(
    value: Any, style: dict[str, Any]
) -> None:
    text = json.dumps(value, **style)
    assert answer(parse_line, text.encode() + b"\n") == answer(decide, text.encode() + b"\n")


LINES = [
    b'{"a":1}',
    b'{"a":1.0}\n',
    b'{"a":-0}\n',
    b'{"a":1e2}\n',
    b'{"a":100000000000000000000}\n',
    b'{"a":9007199254740993}\n',
    b'{"a":9007199254740991}\n',
    b'{"a":1,"a":1}\n',
    b'{"b":1,"a":1}\n',
    b'{"a": 1}\n',
    b'{"a":1}\n\n',
    b' {"a":1}\n',
    b'{"a":NaN}\n',
    b'{"a":"\\u0041"}\n',
    b'{"a":"\\/"}\n',
    b'{"a":"\\ud800"}\n',
    b'\xef\xbb\xbf{"a":1}\n',
    '{"a":1}\n'.encode("utf-16"),
    b"\xff\n",
    b"\n",
    '{"\ue000":1,"\U00010000":1}\n'.encode(),
    '{"\U00010000":1,"\ue000":1}\n'.encode(),
    b"[" * 9999 + b"\n",
]


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_odd_lines_are_decided_alike(line: bytes) -> None:
    assert answer(parse_line, line) == answer(decide, line)
