"""Reasons: the table of all codes, with the remedy of each and its meaning for the evidence.

The verifier keeps a table of its own: it shares nothing with the judge.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from pytest_spec11.printable import escape_controls

_ALL: Final = "pytest --spec11-scope signoff"
_GATE: Final = "spec11 gate --help"
_STATUS: Final = "git status --short"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason against GO."""

    code: str
    subject: str
    text: str
    remedy: str
    command: str


class Trait(Enum):
    """What a code says about the evidence."""

    BREAKS = auto()  # a journal is not whole, so no claim can be better than UNKNOWN
    VOIDS = auto()  # a test that passed proves nothing
    RED = auto()  # a claim is FAIL, not UNKNOWN
    UNTRUSTED = auto()  # the evidence proves nothing here, however green it is
    ELSEWHERE = auto()  # one run cannot decide it: other runs have more tests or an older red
    INCOMPLETE = auto()  # a run left less evidence than it made, whatever was selected
    FOREIGN = auto()  # the evidence belongs to another tree than the sabotaged one


@dataclass(frozen=True, slots=True)
class Code:
    """The remedy of a reason, its command, and what it says about the evidence."""

    remedy: str
    command: str
    traits: frozenset[Trait] = frozenset()


def _code(remedy: str, command: str, *traits: Trait) -> Code:
    return Code(remedy, command, frozenset(traits))


# The order is the order in which a person should look at them.
CODES: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "E-NO-EVIDENCE": _code(
            "Run the scenarios, then gate the directory that they write.",
            _ALL,
            Trait.UNTRUSTED,
            Trait.INCOMPLETE,
            Trait.FOREIGN,
        ),
        "E-TRUNCATED": _code(
            "Run again, and do not interrupt the run.",
            _ALL,
            Trait.BREAKS,
            Trait.UNTRUSTED,
            Trait.INCOMPLETE,
        ),
        "E-CHAIN": _code(
            "Run again; nobody can repair evidence that was changed.",
            _ALL,
            Trait.BREAKS,
            Trait.UNTRUSTED,
            Trait.INCOMPLETE,
        ),
        "E-UNSEALED": _code(
            "Run again, and do not interrupt the run.",
            _ALL,
            Trait.BREAKS,
            Trait.UNTRUSTED,
            Trait.INCOMPLETE,
        ),
        "E-LOST": _code(
            "Run again; every worker must live to the end and write its journal.",
            _ALL,
            Trait.UNTRUSTED,
            Trait.INCOMPLETE,
        ),
        "E-BINDING": _code(
            "Run again with this version of the plugin inside the work tree.",
            _ALL,
            Trait.UNTRUSTED,
            Trait.FOREIGN,
        ),
        "claim_scope_demo": _code(
            "Run with the scope of a sign-off; a demo proves nothing to anyone.", _ALL
        ),
        "E-SCOPE": _code(
            "Run with the scope that you want to sign off.", _ALL, Trait.UNTRUSTED, Trait.FOREIGN
        ),
        "E-DIRTY": _code(
            "Commit or remove the uncommitted changes, then run again.", _STATUS, Trait.UNTRUSTED
        ),
        "E-TREE": _code(
            "Run again on the tree that you want to release.", _ALL, Trait.UNTRUSTED, Trait.FOREIGN
        ),
        "E-COMMIT": _code(
            "Run again on the commit that you want to release.", _ALL, Trait.UNTRUSTED
        ),
        "E-CATALOGUE": _code(
            "Run again with the catalogue that the gate uses.",
            _ALL,
            Trait.UNTRUSTED,
            Trait.FOREIGN,
        ),
        "E-APPVERSION": _code(
            "Run again against the one version that you want to release.", _ALL, Trait.UNTRUSTED
        ),
        "E-POLICY": _code(
            "Run again with the policy that the gate uses, and do not change the markers.",
            _ALL,
            Trait.UNTRUSTED,
            Trait.FOREIGN,
        ),
        "oc_strict_mode_required": _code(
            "Switch on the strict mode of the engine, then run again.", _ALL
        ),
        "queue_partition_off": _code("Partition both queues, then run again.", _ALL),
        "oc_mode": _code("Run against the live service.", _ALL),
        "sbx_mode": _code("Run against the live service.", _ALL),
        "E-STALE": _code(
            "Run again; evidence is good for 24 hours.", _ALL, Trait.UNTRUSTED, Trait.FOREIGN
        ),
        "E-FUTURE": _code("Correct the clocks, then run again.", "date -u", Trait.UNTRUSTED),
        "E-TIME": _code("Correct the clocks, then run again.", "date -u", Trait.UNTRUSTED),
        "E-REF": _code(
            "Run again, or gate the whole directory with its blobs.", _ALL, Trait.INCOMPLETE
        ),
        "E-DIGEST": _code(
            "Run again; nobody can repair evidence that was changed.", _ALL, Trait.INCOMPLETE
        ),
        "E-REPLAY": _code(
            "Gate the directory of each run once, and do not change it.",
            _GATE,
            Trait.UNTRUSTED,
            Trait.INCOMPLETE,
        ),
        "E-SHARD": _code(
            "Run every shard once under its own name, then gate all shards together.", _GATE
        ),
        "E-CONSERVATION": _code(
            "Run again; every collected test must end.", _ALL, Trait.UNTRUSTED, Trait.INCOMPLETE
        ),
        "E-FOREIGN-CODE": _code(
            "Commit the file, or install it as a distribution; then run again.",
            _STATUS,
            Trait.UNTRUSTED,
        ),
        "E-FOREIGN-INPUT": _code(
            "Commit the file, or read it through the oracle `files`; then run again.",
            _STATUS,
            Trait.UNTRUSTED,
        ),
        "E-TARGET": _code(
            "Start the target from this tree, or let it tell its build: Target(identity=…).",
            _ALL,
            Trait.UNTRUSTED,
        ),
        "E-UNKNOWN-CLAIM": _code("Name a claim of the catalogue.", "spec11 claims"),
        "E-FAILED": _code("Repair the product, or the test if it is wrong.", _ALL, Trait.RED),
        "E-ERROR": _code(
            "Repair the fixture or the environment that the test needs.", _ALL, Trait.RED
        ),
        "E-THREAD": _code(
            "Make the test wait for its threads and check how each one ended.",
            _ALL,
            Trait.VOIDS,
            Trait.RED,
        ),
        "E-RETURN": _code("Replace return in the test by assert.", _ALL, Trait.VOIDS, Trait.RED),
        "E-CONTRADICTION": _code(
            "Remove the hook that reports the test as better than it ended.",
            _ALL,
            Trait.VOIDS,
            Trait.RED,
        ),
        "E-BACKGROUND": _code(
            "Make the test wait for its tasks, futures and child processes and check each end.",
            _ALL,
            Trait.VOIDS,
            Trait.RED,
        ),
        "E-DUPLICATE": _code(
            "Gate again without the duplicate: each record may be in only one bundle.", _GATE
        ),
        "E-RERUN": _code(
            "Find out why the test ran again; only a first attempt can prove a claim.", _ALL
        ),
        "E-FLAKY": _code(
            "Find out why the test was red and repair it; a repaired tree starts a new count.",
            "spec11 flakes",
            Trait.ELSEWHERE,
        ),
        "E-XFAIL": _code("Remove the xfail mark when the claim holds.", _ALL),
        "E-XPASS": _code("Remove the xfail mark, because the claim holds.", _ALL),
        "E-SKIPPED": _code("Provide what the test needs, then run it.", _ALL),
        "E-DESELECTED": _code(
            "Run the test without the selection that left it out.", _ALL, Trait.ELSEWHERE
        ),
        "E-NOT-COLLECTED": _code(
            "Run every test file of the tree, or gate all runs of a split suite together.",
            _ALL,
            Trait.ELSEWHERE,
        ),
        "E-SHADOWED": _code(
            "Give the test a name and a place of its own, so that pytest runs it.",
            "pytest --collect-only -q",
            Trait.ELSEWHERE,
        ),
        "E-NOT-RUN": _code("Write or run a test of this claim.", _ALL),
        "E-EMPTY": _code("Make the test read the system through an oracle.", _ALL),
        "E-NO-ASSERTION": _code(
            "Add an assertion on the observation, after the observation.", _ALL
        ),
        "E-SOURCE": _code(
            "Observe the claim through every source that the catalogue lists.",
            _ALL,
            Trait.ELSEWHERE,
        ),
        "E-LANE": _code(
            "Repair what the lane found, then run the lane again.", "spec11 lane --help"
        ),
        "E-LANE-ORDER": _code(
            "Run the lanes of one release in their order: quick, check, full.", "spec11 lane full"
        ),
        "E-WEAK-ORACLE": _code(
            "Make the test see the fault; a claim that nothing turns red is not proven.",
            "spec11 sabotage",
            Trait.ELSEWHERE,
        ),
        "E-TILE": _code("Gate again; only the gate may write a sign-off.", _GATE),
        "E-SIGNATURE": _code("Sign with the keys that the policy names.", "spec11 sign --help"),
        "E-JUDGES": _code("Find out which judge is wrong before anything is released.", _GATE),
        "E-UNKNOWN": _code("Report what the judge could not decide.", _GATE, Trait.UNTRUSTED),
    }
)


_RANKS: Final = MappingProxyType({code: number for number, code in enumerate(CODES)})


def codes_with(trait: Trait) -> frozenset[str]:
    """Every code that has this trait."""
    return frozenset(code for code, known in CODES.items() if trait in known.traits)


def rank(given: Reason) -> int:
    """The place of a reason among all: the cause comes before what follows from it."""
    return _RANKS.get(given.code, _RANKS.get(given.code.rpartition("_")[0], len(_RANKS)))


def reason(code: str, subject: str, text: str, command: str = "") -> Reason:
    """Build a reason with the remedy of its code; ``command`` replaces the code's command."""
    known = CODES.get(code) or CODES.get(code.rpartition("_")[0]) or _code("Run again.", _GATE)
    words = (subject, text, known.remedy, command or known.command)
    return Reason(code, *map(escape_controls, words))


def command_of(node: str, scenario: str = "") -> str:
    """The command that runs one test again."""
    name = node.rpartition("::")[2].partition("[")[0]
    if scenario and name.isidentifier():
        return f"pytest -m {scenario} -k {name}"
    return f"pytest {shlex.quote(node)}"
