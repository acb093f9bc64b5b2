"""``spec11 sabotage``: every claim seen red, or named as one that was not.

It runs the suite's own tests: once without any fault, unless evidence of the same tree shows what
is green; a few times with mutants of what they read then; once under each saboteur that the
catalogue names (the tests of the claims that it must kill); and once more, under the benign twins,
those that turned red.
"""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from pytest_spec11.cli import green_runs
from pytest_spec11.cli.green_runs import GreenRun
from pytest_spec11.cli.mutation import SHORTEST_BUDGET_S, Budget, MutationCampaign
from pytest_spec11.cli.runs import RAN, Runs
from pytest_spec11.errors import BadInput, CannotJudge
from pytest_spec11.evidence import binding, documents, kill_matrix
from pytest_spec11.evidence.kill_matrix import Found
from pytest_spec11.evidence.mutation import Mutation
from pytest_spec11.judge.reasons import Trait, codes_with
from pytest_spec11.mutants.orders import Orders
from pytest_spec11.requirements import catalogue, policy, tree_catalogue
from pytest_spec11.verdict.gate import evaluate
from pytest_spec11.verdict.question import Question

FILE: Final = "kills.json"
TWINS: Final = ("http.none", "sql.none", "proc.none", "file.none")
_BUDGET: Final = "longest time for mutants; default: twice what the suite took"
_FOREIGN: Final = codes_with(Trait.FOREIGN)


def add(commands: Any) -> None:
    """Declare the command and its options."""
    made = commands.add_parser("sabotage", help="turn each claim red", allow_abbrev=False)
    made.add_argument("-m", dest="scenario", default="", help="only this scenario, such as S02")
    made.add_argument("--saboteur", action="append", default=[], metavar="ID")
    made.add_argument("--claim", action="append", default=[], metavar="ID")
    made.add_argument(
        "--green",
        nargs="+",
        default=[],
        type=Path,
        metavar="BUNDLE",
        help="evidence of this tree with green claims; default: run their tests",
    )
    made.add_argument("--bundle", type=Path, help="directory for kills.json; default: .spec11/…")
    made.add_argument("--root", type=Path, default=Path(), help="the work tree with the tests")
    made.add_argument("--scope", default="signoff", help="what is to be signed off")
    made.add_argument("--app-version", default="", help="to be released; default: the policy's")
    made.add_argument(
        "--catalogue", type=Path, help="file of claims; default: the tree's, else the package's"
    )
    made.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    made.add_argument("--no-mutants", action="store_true", help="try only saboteurs")
    made.add_argument("--no-saboteurs", action="store_true", help="try only mutants")
    made.add_argument("--budget", type=float, metavar="SECONDS", help=_BUDGET)
    made.add_argument("--exhaustive", action="store_true", help="try every mutant; takes long")
    made.add_argument("--seed", default="", help="order of the mutants; default: of the tree")
    made.add_argument("--json", action="store_true", help="print the matrix as JSON")
    made.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 when every claim was seen red, every cell was killed and no twin killed any, else 1."""
    claims = tree_catalogue.load(arguments.root, arguments.catalogue)
    wished = policy.load(arguments.root)
    needed = _choose_claims(claims, wished, arguments)
    planned = {} if arguments.no_saboteurs else _plan_cells(claims, needed, arguments)
    version = wished.choose_version(arguments.app_version)
    here = binding.measure(arguments.root, version, arguments.scope, claims.digest)
    began, nonce = time.time_ns() // 1_000_000, secrets.token_hex(16)
    name = f"sabotage-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{nonce[:8]}"
    logs = arguments.root / ".spec11" / name
    place = arguments.bundle or (arguments.green[0] if len(arguments.green) == 1 else logs)
    with _keep_logs(logs) as unseen, Runs(arguments.root, arguments.jobs) as runs:
        campaign = Campaign(arguments, unseen, runs)
        tested = campaign.find_green(needed)
        here["appVersion"] = here["appVersion"] or tested
        mutation = None if arguments.no_mutants else campaign.run_mutants(claims, needed, here)
        cells = campaign.run_cells(planned) if planned else []
    place.mkdir(parents=True, exist_ok=True)
    span = (began, time.time_ns() // 1_000_000)
    found = kill_matrix.document(cells, {"id": name, "nonce": nonce}, here, span)
    found["mutation"] = mutation.to_json() if mutation else None
    documents.write(place / FILE, "kills", found)
    lines = [*(mutation.lines() if mutation else ()), *(kill_matrix.table(cells) if cells else ())]
    print(json.dumps(found, indent=1) if arguments.json else "\n".join(lines))
    if not arguments.json:
        print(f"kill matrix: {place / FILE}")
    weak = mutation is not None and bool(mutation.weak)
    return 0 if all(each.good for each in cells) and not weak else 1


@contextmanager
def _keep_logs(place: Path) -> Iterator[Path]:
    """A directory for logs that no run can find in its tree; in the end they are at ``place``."""
    with TemporaryDirectory() as unseen:
        try:
            yield Path(unseen)
        finally:
            shutil.copytree(unseen, place)


def _choose_claims(
    claims: catalogue.Catalogue, wished: policy.Policy, arguments: argparse.Namespace
) -> list[str]:
    """The claims that were named, else those that the sign-off needs. Raises BadInput."""
    if unknown := set(arguments.claim) - claims.claims.keys():
        raise BadInput(f"no claim {', '.join(sorted(unknown))}; see: spec11 claims")
    for number, flag in ((arguments.jobs, "--jobs"), (arguments.budget, "--budget")):
        if number is not None and number < 1:
            raise BadInput(f"{flag} takes a number from 1 on")
    scenario = arguments.scenario
    named = arguments.claim or claims.list_needed(arguments.scope, wished.mandatory)
    found = [each for each in named if scenario in {"", claims.claims[each].scenario}]
    if not found:
        raise BadInput(f"no claim of {scenario or 'the catalogue'} is needed at {arguments.scope}")
    return found


def _plan_cells(
    claims: catalogue.Catalogue, needed: Sequence[str], arguments: argparse.Namespace
) -> dict[str, list[str]]:
    """Claims by saboteur. Raises BadInput for what is not in the catalogue."""
    planned = kill_matrix.cells_of(claims, arguments.scenario, arguments.saboteur, needed)
    if missing := set(arguments.saboteur) - planned.keys():
        names = ", ".join(sorted(missing))
        raise BadInput(f"no cell: {names}, at scope {arguments.scope}; see: spec11 claims")
    return planned


class Campaign:
    """All that one matrix takes, on evidence that shows what is green.

    Bundles of sabotaged runs are evidence of nothing and are not kept, so that they can never lie
    among what is: of each run ``logs`` has its output and how its tests ended.
    """

    def __init__(self, arguments: argparse.Namespace, logs: Path, runs: Runs) -> None:
        self._arguments = arguments
        self._logs = logs
        self._runs = runs
        self._files: dict[str, set[str]] = {}  # of each claim: where its tests are
        self._green: dict[str, Found] = {}
        self._green_runs: list[GreenRun] = []

    def find_green(self, claims: Sequence[str]) -> str:
        """The version that evidence is of, and that says of each claim whether it is green.

        Without any evidence, the tests of the claims are run.

        Raises BadInput for evidence of another tree, CannotJudge when pytest cannot run.
        """
        bundles = self._arguments.green or [self._run_plain(claims)]
        self._green = self._read_evidence(bundles, claims)
        self._green_runs = green_runs.read_runs(bundles)
        return next((each.app_version for each in self._green_runs), "")

    def run_mutants(
        self, claims: catalogue.Catalogue, needed: Sequence[str], here: Mapping[str, object]
    ) -> Mutation:
        """Every claim that is green, under mutants of what its tests read."""
        asked = self._arguments
        needs = {id_: claims.claims[id_].sources for id_ in needed if self._is_green(id_)}
        seed = asked.seed or str(here["tree"])[:8] or "0"
        suite_s = sum(each.took_s for each in self._green_runs)
        seconds = asked.budget or max(2 * suite_s, SHORTEST_BUDGET_S)
        self._say(
            f"{len(needs)} green claims under mutants of what their tests read; budget"
            f" {seconds:.0f} s, the suite itself took {suite_s:.0f} s"
        )
        campaign = MutationCampaign(self._runs, self._logs, self._green_runs, needs, seed)
        return campaign.run(Budget(seconds, exhaustive=asked.exhaustive))

    def _is_green(self, claim: str) -> bool:
        return self._green[claim].word == kill_matrix.PASS

    def run_cells(self, planned: Mapping[str, Sequence[str]]) -> list[kill_matrix.Cell]:
        """Every planned cell, and one for each twin and claim that was tried under it."""
        claims = sorted({claim for some in planned.values() for claim in some})
        cells = sum(map(len, planned.values()))
        self._say(f"{cells} cells: {len(planned)} saboteurs against {len(claims)} claims")
        during = self._during(planned, {claim for claim in claims if self._is_green(claim)})
        nodes = {each.node for some in during.values() for each in some.values()}
        touched = sorted({claim for some in during.values() for claim in some})
        after = self._run_in_parallel("after", touched, TWINS, nodes)
        rows = list(kill_matrix.rows(planned, self._green, during, after))
        twins = dict.fromkeys(TWINS, touched)
        return rows + [
            each
            for each in kill_matrix.rows(twins, self._green, dict.fromkeys(TWINS, after), after)
            if each.hits or each.during != kill_matrix.PASS
        ]

    def _run_plain(self, claims: Sequence[str]) -> Path:
        """The bundle of a run without any fault."""
        place, log = self._logs / "plain", self._logs / "plain.log"
        command = [*self._command(claims, ()), f"--spec11-dir={place.absolute()}"]
        code = self._runs.run_plain(command, log)
        found = [each for each in place.glob("*") if any(each.glob("journal-*.ndjson"))]
        if code not in RAN or len(found) != 1:
            raise CannotJudge(f"pytest ended with {code}, see {log}")
        return found[0]

    def _read_evidence(self, bundles: Sequence[Path], claims: Sequence[str]) -> dict[str, Found]:
        """What evidence says of each claim. Raises BadInput for that of another tree."""
        given = self._arguments
        asked = Question(
            bundles=bundles, root=given.root, scope=given.scope,
            app_version=given.app_version, catalogue=given.catalogue,
        )  # fmt: skip
        found = evaluate(asked)
        for each in found.verdict.reasons:
            if each.code in _FOREIGN:
                raise BadInput(f"{each.subject}: {each.text}; {each.remedy}")
        for node, proves in found.bundle.items.items():
            self._note(node, proves)
        return {claim: Found(found.verdict.claims[claim], "by evidence") for claim in claims}

    def _note(self, node: str, claims: Iterable[str]) -> None:
        """A test of these claims is there."""
        for claim in claims:
            self._files.setdefault(claim, set()).add(node.partition("::")[0])

    def _run_in_parallel(
        self,
        name: str,
        claims: Sequence[str],
        saboteurs: Sequence[str] = (),
        where: Iterable[str] = (),
    ) -> dict[str, Found]:
        """What is found of each claim, by as many runs at a time as there may be."""
        shares = _shares(claims, self._arguments.jobs)
        names = [name if len(shares) == 1 else f"{name}-{number}" for number in range(len(shares))]
        tries = [
            partial(self._run_claims, each, share, saboteurs, where)
            for each, share in zip(names, shares, strict=True)
        ]
        return {claim: found for some in self._runs.run_all(tries) for claim, found in some.items()}

    def _during(
        self, planned: Mapping[str, Sequence[str]], green: set[str]
    ) -> dict[str, dict[str, Found]]:
        todo = {each: [c for c in claims if c in green] for each, claims in planned.items()}
        todo = {each: claims for each, claims in todo.items() if claims}
        tries = [
            partial(self._run_claims, each, some, (each,), self._files_of(some))
            for each, some in todo.items()
        ]
        return dict(zip(todo, self._runs.run_all(tries), strict=True))

    def _files_of(self, claims: Iterable[str]) -> set[str]:
        """Where the tests are: pytest is quicker when it need not look everywhere."""
        return {file for claim in claims for file in self._files[claim]}

    def _run_claims(
        self,
        name: str,
        claims: Sequence[str],
        saboteurs: Sequence[str] = (),
        where: Iterable[str] = (),
    ) -> dict[str, Found]:
        """What one run says of each claim; of none when it could not run."""
        began, log = time.monotonic(), self._logs / f"{name}.log"
        out = (self._logs / f"{name}.ndjson").absolute()
        orders = Orders(out=str(out), saboteurs=tuple(saboteurs))
        code = self._runs.run_controlled(
            self._command(claims, sorted(filter(None, where))), log, orders
        )
        lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
        took_s = time.monotonic() - began
        self._say(f"{name}: {len(lines)} tests of {len(claims)} claims, {took_s:.0f} s")
        if code not in RAN:
            self._say(f"{name}: pytest ended with {code}, see {log}")
        findings = [json.loads(line) for line in lines]
        for each in findings:
            self._note(each["node"], each["claims"])
        return kill_matrix.by_claim(findings)

    def _command(self, claims: Sequence[str], where: Sequence[str]) -> list[str]:
        scenarios = " or ".join(sorted({claim.partition(".")[0] for claim in claims}))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *where]
        command += ["-m", scenarios, "--spec11-scope", self._arguments.scope]
        command += ["--spec11-claims", ",".join(claims)]
        if self._arguments.catalogue:
            command += [f"--spec11-catalogue={self._arguments.catalogue.absolute()}"]
        return command

    def _say(self, what: str) -> None:
        print(what, file=sys.stderr, flush=True)


def _shares(claims: Sequence[str], count: int) -> list[list[str]]:
    """At most ``count`` shares of the claims, of similar size; a scenario is never split."""
    scenarios: dict[str, list[str]] = {}
    for claim in claims:
        scenarios.setdefault(claim.partition(".")[0], []).append(claim)
    shares: list[list[str]] = [[] for _ in range(count)]
    for some in sorted(scenarios.values(), key=len, reverse=True):
        min(shares, key=len).extend(some)
    return [share for share in shares if share]
