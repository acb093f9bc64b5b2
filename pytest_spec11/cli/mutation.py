"""Mutants of what a green run read, put before its tests: which claims have been seen red.

A pass runs the suite by the command of the green run. Each test gets at most one mutant in it, so
that two or three passes decide nearly all claims. A test whose claims are decided runs without one:
it has to be green again.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from pytest_spec11.cli.green_runs import GreenRun, GreenTest
from pytest_spec11.cli.runs import RAN, Runs
from pytest_spec11.evidence.mutation import Mutation, SeenRed, Unseen
from pytest_spec11.mutants.mutant import Mutant
from pytest_spec11.mutants.orders import Orders
from pytest_spec11.waiting import Stopwatch

WHOLE_PASSES: Final = 2  # run every test; later ones only those that are still of interest
WHOLE_SUITE_S: Final = 60.0  # of a suite that takes longer, no pass runs every test
SHORTEST_BUDGET_S: Final = 20.0  # starting pytest takes longer than a tiny suite
_TRIES_A_TEST: Final = 12  # by one source: the first ones change all that there is
_TESTS_A_CLAIM: Final = 3  # in a later pass, of the tests of one claim
_WAIT_TIMES: Final = 3.0  # no wait of a mutated test is longer than its green run so many times
_WAIT_MORE_S: Final = 3.0

Pair = tuple[str, str]  # a claim and a source


@dataclass(frozen=True, slots=True)
class Budget:
    """Seconds that the passes may take, and whether nothing else ends them."""

    seconds: float
    exhaustive: bool = False


@dataclass
class _Try:
    """A mutant that was put before a test, and what came of it."""

    node: str
    mutant: Mutant
    word: str = "not run"
    text: str = ""
    at: int = 0

    @property
    def is_kill(self) -> bool:
        return self.word == "killed"


@dataclass
class _State:
    """What is known so far."""

    tries: dict[Pair, list[_Try]] = field(default_factory=lambda: defaultdict(list))
    next_mutant: Counter[tuple[str, str]] = field(default_factory=Counter)  # by node and source
    green_at: dict[str, int] = field(default_factory=dict)  # by node: seen green beside mutants
    not_green: dict[str, str] = field(default_factory=dict)
    passes: int = 0


class MutationCampaign:
    """The passes over the green runs; ``needs`` holds the sources of each claim."""

    def __init__(
        self, runs: Runs, logs: Path, green: Sequence[GreenRun], needs: Mapping[str, Sequence[str]],
        seed: str,
    ) -> None:  # fmt: skip
        self._runs = runs
        self._logs = logs
        self._green = green
        self._needs = needs
        self._seed = seed
        self._state = _State()
        self._mutants: dict[str, dict[str, list[Mutant]]] = {}
        self._tests = {node: each for run in green for node, each in run.tests.items()}
        self._suite_s = sum(each.took_s for each in green)
        self._rate = 1.0  # seconds of a pass for each second that its tests took when green
        self._most = _TRIES_A_TEST

    def run(self, budget: Budget) -> Mutation:
        """Pass after pass, until every claim is decided or the budget is spent.

        Whatever was seen red is then seen without its mutant, beyond the budget if need be.
        """
        self._most = sys.maxsize if budget.exhaustive else _TRIES_A_TEST
        watch = Stopwatch()
        while self._has_work(budget, watch.own_s):
            self._run_pass(self._plan_pass(exhaustive=budget.exhaustive))
        if self._list_twins():
            self._run_pass({})
        spent_s = round(watch.own_s, 1)
        return Mutation(
            seed=self._seed,
            suite_s=round(self._suite_s, 1),
            budget_s=round(budget.seconds, 1),
            spent_s=spent_s,
            exhaustive=budget.exhaustive,
            passes=self._state.passes,
            claims=[self._row(pair) for pair in self._pairs],
            unseen=list(self._find_unseen()),
        )

    @property
    def _pairs(self) -> list[Pair]:
        return [(claim, source) for claim, sources in self._needs.items() for source in sources]

    def _has_work(self, budget: Budget, spent_s: float) -> bool:
        """Whether another pass with mutants is worth it, and there is time for it."""
        if not self._plan(budget.exhaustive, whole=False):
            return False
        if self._state.passes < WHOLE_PASSES or budget.exhaustive:
            return True
        return spent_s + self._guess_pass_s() <= budget.seconds

    def _guess_pass_s(self) -> float:
        nodes = {*self._plan(exhaustive=False, whole=False), *self._list_twins()}
        return self._rate * sum(self._tests[each].took_s for each in nodes)

    def _is_decided(self, pair: Pair) -> bool:
        return any(
            each.is_kill and each.mutant.proves and each.node not in self._state.not_green
            for each in self._state.tries[pair]
        )

    def _list_twins(self) -> list[str]:
        """Tests that were seen red by a mutant, and not yet green again beside others'."""
        red = {each.node for tries in self._state.tries.values() for each in tries if each.is_kill}
        return sorted(red - self._state.green_at.keys() - self._state.not_green.keys())

    def _plan(self, exhaustive: bool, *, whole: bool) -> dict[str, Mutant]:  # noqa: FBT001  # an option handed on
        """The next mutant of each test that has one which may decide something."""
        planned: dict[str, Mutant] = {}
        for claim in self._needs:
            pairs = [
                (claim, source)
                for source in self._needs[claim]
                if exhaustive or not self._is_decided((claim, source))
            ]
            options = [
                (pair, self._choose(pair, planned, whole=whole or exhaustive)) for pair in pairs
            ]
            for number in range(max((len(nodes) for _, nodes in options), default=0)):
                for pair, nodes in options:  # by turns, so that each source gets a test of its own
                    if node := next((each for each in nodes[number:] if each not in planned), ""):
                        planned[node] = self._next(node, pair[1])
        return planned

    def _nodes_of(self, pair: Pair) -> list[str]:
        """The tests of the claim that read anything through the source, the quickest first."""
        claim, source = pair
        found = [each for each in self._tests.values() if claim in each.claims]
        found = [each for each in found if source in self._mutants_of(each)]
        return [each.node for each in sorted(found, key=lambda each: (each.took_s, each.node))]

    def _choose(self, pair: Pair, planned: Mapping[str, Mutant], *, whole: bool) -> list[str]:
        """Tests of the claim that have a mutant left, those first that had the fewest."""
        nodes = self._nodes_of(pair)
        left = [each for each in nodes if each not in planned and self._has_next(each, pair[1])]
        fewest = sorted(left, key=lambda each: self._state.next_mutant[each, pair[1]])
        return fewest if whole else fewest[:_TESTS_A_CLAIM]

    def _mutants_of(self, test: GreenTest) -> dict[str, list[Mutant]]:
        if test.node not in self._mutants:
            found = test.list_mutants(self._seed, exhaustive=self._most == sys.maxsize)
            self._mutants[test.node] = {
                source: some[: self._most] for source, some in found.items()
            }
        return self._mutants[test.node]

    def _has_next(self, node: str, source: str) -> bool:
        mutants = self._mutants_of(self._tests[node])[source]
        return self._state.next_mutant[node, source] < len(mutants)

    def _next(self, node: str, source: str) -> Mutant:
        """The mutant that this test gets next."""
        mutants = self._mutants_of(self._tests[node])[source]
        return mutants[self._state.next_mutant[node, source]]

    def _is_whole(self, number: int) -> bool:
        """Whether the pass of that number runs every test."""
        return number <= WHOLE_PASSES and self._suite_s <= WHOLE_SUITE_S

    def _plan_pass(self, *, exhaustive: bool) -> dict[str, Mutant]:
        return self._plan(exhaustive, whole=self._is_whole(self._state.passes + 1))

    def _run_pass(self, planned: Mapping[str, Mutant]) -> None:
        """Every test that is of interest, under its mutant if it has one."""
        self._state.passes += 1
        chosen = (
            None
            if self._is_whole(self._state.passes)
            else frozenset({*planned, *self._list_twins()})
        )
        for node, mutant in planned.items():
            self._state.next_mutant[node, mutant.source] += 1
        watch = Stopwatch()
        shares = [each for run in self._green for each in self._share(run, chosen)]
        tries = [
            partial(self._run_share, f"pass-{self._state.passes}-{number}", run, nodes, planned)
            for number, (run, nodes) in enumerate(shares)
        ]
        found = [each for some in self._runs.run_all(tries) for each in some]
        ran = [self._tests[each["node"]].took_s for each in found if each["node"] in self._tests]
        self._rate = watch.own_s / max(sum(ran), 0.1)
        self._take(found, planned)

    def _share(
        self, run: GreenRun, chosen: frozenset[str] | None
    ) -> list[tuple[GreenRun, frozenset[str] | None]]:
        """The tests of a run as so many shares as there are jobs, those of one file together."""
        nodes = run.tests.keys() if chosen is None else run.tests.keys() & chosen
        if not nodes:
            return []
        if self._runs.jobs == 1 or run.has_workers:
            return [(run, chosen)]
        shares: list[set[str]] = [set() for _ in range(self._runs.jobs)]
        seconds = [0.0] * len(shares)
        for file, took_s in sorted(run.files.items(), key=lambda each: -each[1]):
            least = seconds.index(min(seconds))
            shares[least] |= {each for each in nodes if each.partition("::")[0] == file}
            seconds[least] += took_s
        return [(run, frozenset(share)) for share in shares if share]

    def _run_share(
        self,
        name: str,
        run: GreenRun,
        nodes: frozenset[str] | None,
        planned: Mapping[str, Mutant],
    ) -> list[dict[str, Any]]:
        """How each test of a share ended."""
        out = (self._logs / f"{name}.ndjson").absolute()
        waits = {node: _WAIT_TIMES * each.took_s + _WAIT_MORE_S for node, each in run.tests.items()}
        mutants = {node: planned[node] for node in run.tests if node in planned}
        orders = Orders(out=str(out), mutants=mutants, nodes=nodes, wait_s=waits)
        code = self._runs.run_controlled(run.command, self._logs / f"{name}.log", orders)
        lines = [line for each in sorted(out.parent.glob(f"{out.name}*")) for line in each.open()]
        if code not in RAN and not lines:
            self._state.not_green |= dict.fromkeys(run.tests, f"pytest ended with {code}: {name}")
        return [json.loads(line) for line in lines]

    def _take(self, found: Iterable[Mapping[str, Any]], planned: Mapping[str, Mutant]) -> None:
        """What the tests of a pass say."""
        ended = {each["node"]: each for each in found}
        for node, mutant in planned.items():
            said = ended.get(node)
            tried = _judge(node, mutant, said)
            for claim in self._tests[node].claims:
                if mutant.source in self._needs.get(claim, ()):
                    self._state.tries[claim, mutant.source].append(tried)
        for node, said in ended.items():
            if node not in planned and node in self._tests:
                self._take_twin(node, said)

    def _take_twin(self, node: str, said: Mapping[str, Any]) -> None:
        if said["outcome"] == "PASS":
            self._state.green_at[node] = said["at"]
        else:
            self._state.not_green[node] = said["text"]

    def _row(self, pair: Pair) -> SeenRed:
        """How a claim stands by one source."""
        tries = [each for each in self._state.tries[pair] if each.word != "not hit"]
        kills = [each for each in tries if each.is_kill]
        green = [each for each in kills if each.mutant.proves and each.node in self._state.green_at]
        row = SeenRed(claim=pair[0], source=pair[1], tried=len(tries), killed=len(kills))
        if green:
            best = green[0]
            row.node, row.mutant, row.field = best.node, best.mutant.words, best.mutant.field
            row.text, row.red_at = best.text, best.at
            row.green_at = self._state.green_at[best.node]
        else:
            row.text = self._explain(pair, tries, kills)
        return row

    def _explain(self, pair: Pair, tries: Sequence[_Try], kills: Sequence[_Try]) -> str:
        """Why a claim was not seen red by a source."""
        voided = [each for each in kills if each.node in self._state.not_green]
        if voided:
            return f"not green again without it: {self._state.not_green[voided[0].node]}"[:300]
        if any(each.mutant.proves for each in kills):
            return "its test did not run again without it"
        if kills:
            return "only what looks at types alone turned it red"
        if not self._nodes_of(pair):
            return "no test of it that passed read anything there that can be changed"
        broken = next((each for each in tries if each.word == "broken"), None)
        said = f"; one broke down over it: {broken.text}" if broken else ""
        return f"no assertion failed under {len(tries)} mutants{said}"[:300]

    def _find_unseen(self) -> Iterator[Unseen]:
        """The fields whose every mutant left a claim green."""
        for (claim, source), tries in sorted(self._state.tries.items()):
            fields: dict[Pair, list[_Try]] = defaultdict(list)
            for each in tries:
                if each.word in {"survived", "killed"}:
                    fields[each.mutant.shape, each.mutant.field].append(each)
            for (shape, name), some in sorted(fields.items()):
                if not any(each.is_kill for each in some):
                    operators = sorted({each.mutant.operator for each in some})
                    yield Unseen(claim, source, shape, name, operators)


def _judge(node: str, mutant: Mutant, said: Mapping[str, Any] | None) -> _Try:
    """What a mutant did to a test."""
    tried = _Try(node, mutant)
    if said is None:
        return tried
    tried.text, tried.at = said["text"], said["at"]
    if not said["changed"]:
        tried.word = "not hit"
    elif said["outcome"] == "PASS":
        tried.word = "survived"
    else:
        tried.word = "killed" if said["asserted"] else "broken"
    return tried
