"""Reasons: why a verdict is NO_GO, what to do about it, and the command that does it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_ALL: Final = "pytest --spec11-scope signoff"
_GATE: Final = "spec11 gate --help"
_STATUS: Final = "git status --short"


@dataclass(frozen=True, slots=True)
class Reason:
    """One obstacle to GO."""

    code: str
    subject: str
    text: str
    remedy: str
    command: str


# code: remedy, command; the order is the order in which a person should look at them.
REMEDIES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "E-NO-EVIDENCE": ("Run the scenarios and gate the directory they write.", _ALL),
        "E-TRUNCATED": ("Run again and let the run end by itself.", _ALL),
        "E-CHAIN": ("Run again; evidence that was changed cannot be repaired.", _ALL),
        "E-UNSEALED": ("Run again and let the run end by itself.", _ALL),
        "E-LOST": ("Run again; every worker has to live and to leave its journal.", _ALL),
        "E-BINDING": ("Run again with this version of the plugin inside the work tree.", _ALL),
        "claim_scope_demo": (
            "Run with the scope of a sign-off; a demo proves nothing to anyone.",
            _ALL,
        ),
        "E-SCOPE": (
            "Run with the scope that is to be signed off.",
            _ALL,
        ),
        "E-DIRTY": ("Commit or remove what is not committed, then run again.", _STATUS),
        "E-TREE": ("Run again on the tree that is to be released.", _ALL),
        "E-COMMIT": ("Run again on the commit that is to be released.", _ALL),
        "E-CATALOGUE": ("Run again with the catalogue that is to be judged by.", _ALL),
        "E-APPVERSION": ("Run again against the one version that is to be released.", _ALL),
        "E-POLICY": ("Run again by the policy that is to be judged by, markers unmoved.", _ALL),
        "oc_strict_mode_required": ("Let the engine's answers be strict.", _ALL),
        "queue_partition_off": ("Let both queues be partitioned.", _ALL),
        "oc_mode": ("Run against the live service.", _ALL),
        "sbx_mode": ("Run against the live service.", _ALL),
        "E-STALE": ("Run again; evidence is good for 24 hours.", _ALL),
        "E-FUTURE": ("Set the clocks right, then run again.", "date -u"),
        "E-TIME": ("Set the clocks right, then run again.", "date -u"),
        "E-REF": ("Run again, or gate the whole directory with its blobs.", _ALL),
        "E-DIGEST": ("Run again; evidence that was changed cannot be repaired.", _ALL),
        "E-REPLAY": ("Gate each run's own directory, once, as the run left it.", _GATE),
        "E-SHARD": ("Run every shard once, each by its name, and gate them together.", _GATE),
        "E-CONSERVATION": ("Run again; every collected test has to end.", _ALL),
        "E-UNKNOWN-CLAIM": ("Name a claim of the catalogue.", "spec11 claims"),
        "E-FAILED": ("Repair the product, or the test if it is wrong.", _ALL),
        "E-ERROR": ("Repair what the test stands on.", _ALL),
        "E-THREAD": ("Let the test wait for its threads and ask each how it ended.", _ALL),
        "E-RETURN": ("Write assert where the test says return.", _ALL),
        "E-DUPLICATE": ("Gate each test's run once: leave one of the bundles out.", _GATE),
        "E-RERUN": ("Find out why the test was run again; a proof holds the first time.", _ALL),
        "E-FLAKY": (
            "Find out why it was red and repair that; a repaired tree begins anew.",
            "spec11 flakes",
        ),
        "E-XFAIL": ("Remove the mark once the claim holds.", _ALL),
        "E-XPASS": ("Remove the mark; the claim holds.", _ALL),
        "E-SKIPPED": ("Give the test what it needs and run it.", _ALL),
        "E-DESELECTED": ("Run it without the selection that left it out.", _ALL),
        "E-NOT-RUN": ("Write or run a test of this claim.", _ALL),
        "E-EMPTY": ("Let the test look at the system through an oracle.", _ALL),
        "E-NO-ASSERTION": ("Assert on what was observed, after it was observed.", _ALL),
        "E-SOURCE": ("Observe the claim through every source the catalogue lists.", _ALL),
        "E-LANE": ("Repair what the lane found, then run it again.", "spec11 lane --help"),
        "E-LANE-ORDER": (
            "Run the lanes of one release in their order: quick, check, full.",
            "spec11 lane full",
        ),
        "E-WEAK-ORACLE": (
            "Make the test see the fault; a claim that nothing turns red is not proven.",
            "spec11 sabotage",
        ),
        "E-TILE": ("Gate again; a sign-off is written by the gate alone.", _GATE),
        "E-SIGNATURE": ("Let the keys that the policy names sign.", "spec11 sign --help"),
        "E-JUDGES": ("Find out which judge is wrong before anything is released.", _GATE),
        "E-UNKNOWN": ("Report what the judge could not decide.", _GATE),
    }
)


def reason(code: str, subject: str, text: str, command: str = "") -> Reason:
    """A reason with the remedy of its code; ``command`` replaces the general one."""
    known = code if code in REMEDIES else code.rpartition("_")[0]
    remedy, general = REMEDIES.get(known, ("Run again.", _GATE))
    return Reason(code, subject, text, remedy, command or general)


def command_of(node: str, scenario: str = "") -> str:
    """A command that runs one test again."""
    name = node.rpartition("::")[2].partition("[")[0]
    if scenario and name.isidentifier():
        return f"pytest -m {scenario} -k {name}"
    return f"pytest {shlex.quote(node)}"
