"""Rules about the journals: whole, sealed, complete, of one run, and without lost tests."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

from pytest_spec11.evidence.bundle import JournalFile
from pytest_spec11.evidence.journal import TORN
from pytest_spec11.evidence.observations import NOTHING
from pytest_spec11.evidence.outcome import BAD
from pytest_spec11.judge.case import Case
from pytest_spec11.judge.reasons import Reason, command_of, reason

_HEADS: Final = frozenset({"main", "controller"})
_FAILURES: Final = 1
# pytest's exit statuses of a finished run: all passed, some failed, none collected.
_ENDED: Final = frozenset({0, _FAILURES, 5})


def check_journals(case: Case) -> Iterator[Reason]:
    """Every journal must be undamaged, sealed, and of a process that finished."""
    if not case.bundle.leaves:
        yield reason("E-NO-EVIDENCE", "bundle", "there is no journal")
    for leaf in case.bundle.leaves:
        yield from _readable(leaf)
    for leaf in case.bundle.leaves:
        status = leaf.reading.exit_status
        if status is not None and status not in _ENDED:
            yield reason("E-ERROR", leaf.name, f"the process ended with status {status}")


def _readable(leaf: JournalFile) -> Iterator[Reason]:
    if leaf.reading.sha256 == NOTHING:
        yield reason("E-EMPTY", leaf.name, "the journal is empty")
    if not leaf.reading.records:
        yield reason("E-NO-EVIDENCE", leaf.name, "the journal holds no whole record")
        yield reason("E-TIME", leaf.name, "nothing in it has a time")
    damage = leaf.reading.damage
    if damage:
        code = "E-TRUNCATED" if damage.startswith(TORN) else "E-CHAIN"
        yield reason(code, leaf.name, damage)
    if not leaf.reading.sealed:
        yield reason("E-UNSEALED", leaf.name, "the journal does not end with a seal")


def check_workers(case: Case) -> Iterator[Reason]:
    """Each process of every run must have left one journal."""
    runs: dict[str, list[JournalFile]] = defaultdict(list)
    for leaf in case.bundle.leaves:
        runs[leaf.run].append(leaf)
    for run, leaves in runs.items():
        yield from _crew(run or "(unnamed run)", leaves)


def _crew(run: str, leaves: list[JournalFile]) -> Iterator[Reason]:
    roles = Counter(leaf.role for leaf in leaves)
    expected = {role for leaf in leaves for role in leaf.reading.expected}
    if sum(roles[head] for head in _HEADS) != 1:
        yield reason("E-LOST", run, "not exactly one journal of the main process")
    if roles["controller"] and not expected:
        yield reason("E-LOST", run, "the controller does not say which workers it had")
    for role in sorted(expected - set(roles)):
        yield reason("E-LOST", role, f"run {run}: the worker left no journal")
    for role in sorted({role for leaf in leaves for role in leaf.reading.lost}):
        yield reason("E-LOST", role, f"run {run}: the worker was lost")
    for role in sorted(set(roles) - expected - _HEADS):
        yield reason("E-LOST", role or run, f"run {run}: a journal of an unexpected worker")
    for role in sorted(role for role, count in roles.items() if count > 1):
        yield reason("E-LOST", role, f"run {run}: more than one journal of this role")


def check_outcomes(case: Case) -> Iterator[Reason]:
    """Every collected test must have an outcome, under the claims that it was collected with."""
    bundle = case.bundle
    for node in sorted(bundle.items.keys() - bundle.outcomes.keys()):
        yield reason("E-CONSERVATION", node, "collected, but without an outcome", command_of(node))
    for node in sorted(bundle.outcomes.keys() - bundle.items.keys()):
        yield reason("E-CONSERVATION", node, "an outcome, but never collected", command_of(node))
    red = {end.run for end in bundle.ends if end.word in BAD}
    for leaf in bundle.leaves:
        if leaf.reading.exit_status == _FAILURES and leaf.run not in red:
            text = "pytest ended with failures, but no recorded test failed"
            yield reason("E-CONSERVATION", leaf.name, text)
    for end in bundle.ends:
        if end.node in bundle.items and bundle.items[end.node] != {*end.claims}:
            text = f"collected for other claims than it ended with: {end.journal}"
            yield reason("E-POLICY", end.node, text, command_of(end.node))


def check_single_run(case: Case) -> Iterator[Reason]:
    """A directory must hold one run, and a run must lie in one directory."""
    runs: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)
    homes: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    nonces: dict[str, dict[str, None]] = defaultdict(dict)
    for leaf in case.bundle.leaves:
        folder, nonce = leaf.path.parent, str(leaf.start.get("nonce", ""))
        runs[str(folder)].setdefault((leaf.run, nonce), leaf.path.name)
        homes[leaf.run, nonce][str(folder)] = None
        nonces[nonce][leaf.run] = None
    for place, found in runs.items():
        if len(found) > 1:
            text = f"journals of {len(found)} runs in one directory: {', '.join(found.values())}"
            yield reason("E-REPLAY", place.rpartition("/")[2], text)
    for (run, _), folders in homes.items():
        if len(folders) > 1:
            text = f"the same run in {len(folders)} directories: {', '.join(folders)}"
            yield reason("E-REPLAY", run, text)
    for named in nonces.values():
        if len(named) > 1:
            text = f"{len(named)} runs with one nonce: {', '.join(named)}"
            yield reason("E-REPLAY", next(iter(named)), text)


def check_shards(case: Case) -> Iterator[Reason]:
    """Every demanded shard must have run once, and no other shard."""
    expected = case.terms.shards.union(case.terms.policy.shards)
    runs = {leaf.run: str(leaf.start.get("shard", "")) for leaf in case.bundle.leaves}
    found = Counter(runs.values())
    for name in sorted(expected - found.keys()):
        yield reason("E-SHARD", name, "no run of this shard", f"pytest --spec11-shard {name}")
    for name in sorted(found.keys() - expected) if expected else ():
        yield reason("E-SHARD", name or "(unnamed)", "a run of a shard that nobody demanded")
    for name, count in sorted(found.items()):
        if count > 1 and name in expected:
            yield reason("E-SHARD", name, f"{count} runs of this shard")
