"""``spec11 sabotage``: every claim seen red under its saboteurs, or named as one that was not.

It runs the suite's own tests: once without any fault, unless evidence of the same tree shows what
is green, once under each saboteur (the tests of the claims that it must kill), and once more, under
the benign twins, those that turned red.
"""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self

from pytest_spec11.errors import BadInput, CannotJudge
from pytest_spec11.evidence import binding, documents, kill_matrix
from pytest_spec11.evidence.kill_matrix import FINDINGS, Found
from pytest_spec11.judge.reasons import Trait, codes_with
from pytest_spec11.requirements import catalogue, policy
from pytest_spec11.verdict.gate import evaluate
from pytest_spec11.verdict.question import Question

FILE: Final = "kills.json"
TWINS: Final = ("http.none", "sql.none", "proc.none", "file.none")
_FOREIGN: Final = codes_with(Trait.FOREIGN)
_RAN: Final = frozenset({0, 1})  # what pytest ends with when it ran the tests


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
    made.add_argument("--scope", default="signoff", help="scope of the evidence")
    made.add_argument("--app-version", default="", help="version to release; default: the policy's")
    made.add_argument("--catalogue", type=Path, help="file of claims; default: the package's")
    made.add_argument("--jobs", type=int, default=1, help="number of runs at the same time")
    made.add_argument("--json", action="store_true", help="print the matrix as JSON")
    made.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 when every cell was killed and no twin killed any, else 1."""
    claims = catalogue.load(arguments.catalogue)
    wished = policy.load(arguments.root)
    planned = _plan_cells(claims, wished, arguments)
    version = wished.choose_version(arguments.app_version)
    here = binding.measure(arguments.root, version, arguments.scope, claims.digest)
    began, nonce = time.time_ns() // 1_000_000, secrets.token_hex(16)
    name = f"sabotage-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{nonce[:8]}"
    logs = arguments.root / ".spec11" / name
    place = arguments.bundle or logs
    for each in (logs, place):
        each.mkdir(parents=True, exist_ok=True)
    with Campaign(arguments, logs) as campaign:
        cells = campaign.run_cells(planned)
    span = (began, time.time_ns() // 1_000_000)
    found = kill_matrix.document(cells, {"id": name, "nonce": nonce}, here, span)
    documents.write(place / FILE, "kills", found)
    print(json.dumps(found, indent=1) if arguments.json else "\n".join(kill_matrix.table(cells)))
    if not arguments.json:
        print(f"kill matrix: {place / FILE}")
    return 0 if all(each.good for each in cells) else 1


def _plan_cells(
    claims: catalogue.Catalogue, wished: policy.Policy, arguments: argparse.Namespace
) -> dict[str, list[str]]:
    """Claims by saboteur: those that were named, else those that the sign-off needs.

    Raises BadInput for what is not in the catalogue.
    """
    if unknown := set(arguments.claim) - claims.claims.keys():
        raise BadInput(f"no claim {', '.join(sorted(unknown))}; see: spec11 claims")
    if arguments.jobs < 1:
        raise BadInput("--jobs takes a number from 1 on")
    some = arguments.claim or claims.list_needed(arguments.scope, wished.mandatory)
    planned = kill_matrix.cells_of(claims, arguments.scenario, arguments.saboteur, some)
    if missing := set(arguments.saboteur) - planned.keys():
        names = ", ".join(sorted(missing))
        raise BadInput(f"no cell: {names}, at scope {arguments.scope}; see: spec11 claims")
    if not planned:
        raise BadInput(f"no claim of {arguments.scenario} names a saboteur")
    return planned


class Campaign:
    """The runs of pytest that one matrix takes; none outlives it.

    Their bundles are evidence of nothing and are not kept, so that they can never lie among what
    is: of each run ``logs`` has its output and how its tests ended.
    """

    def __init__(self, arguments: argparse.Namespace, logs: Path) -> None:
        self._arguments = arguments
        self._logs = logs
        self._files: dict[str, set[str]] = {}  # of each claim: where its tests are
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._over = False
        self._before = signal.signal(signal.SIGTERM, _interrupt)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._break_off()
        signal.signal(signal.SIGTERM, self._before)

    def _break_off(self) -> None:
        """No run is under way, and none will be; what they started ends with them."""
        with self._lock:
            self._over = True
            left = tuple(self._running)
        for each in left:
            each.terminate()
        for each in left:
            each.wait()

    def run_cells(self, planned: Mapping[str, Sequence[str]]) -> list[kill_matrix.Cell]:
        """Every planned cell, and one for each twin and claim that was tried under it."""
        claims = sorted({claim for some in planned.values() for claim in some})
        shown = self._read_evidence(claims) if self._arguments.green else {}
        cells = sum(map(len, planned.values()))
        self._say(f"{cells} cells: {len(planned)} saboteurs against {len(claims)} claims")
        before = shown or self._run_in_parallel("before", claims)
        green = {claim for claim, found in before.items() if found.word == kill_matrix.PASS}
        during = self._during(planned, green)
        nodes = {each.node for some in during.values() for each in some.values()}
        touched = sorted({claim for some in during.values() for claim in some})
        after = self._run_in_parallel("after", touched, TWINS, nodes)
        rows = list(kill_matrix.rows(planned, before, during, after))
        twins = dict.fromkeys(TWINS, touched)
        return rows + [
            each
            for each in kill_matrix.rows(twins, before, dict.fromkeys(TWINS, after), after)
            if each.hits or each.during != kill_matrix.PASS
        ]

    def _read_evidence(self, claims: Sequence[str]) -> dict[str, Found]:
        """What evidence says of each claim. Raises BadInput for that of another tree."""
        given = self._arguments
        asked = Question(
            bundles=given.green, root=given.root, scope=given.scope,
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
        return {claim: found for some in self._all(tries) for claim, found in some.items()}

    def _during(
        self, planned: Mapping[str, Sequence[str]], green: set[str]
    ) -> dict[str, dict[str, Found]]:
        todo = {each: [c for c in claims if c in green] for each, claims in planned.items()}
        todo = {each: claims for each, claims in todo.items() if claims}
        tries = [
            partial(self._run_claims, each, some, (each,), self._files_of(some))
            for each, some in todo.items()
        ]
        return dict(zip(todo, self._all(tries), strict=True))

    def _files_of(self, claims: Iterable[str]) -> set[str]:
        """Where the tests are: pytest is quicker when it need not look everywhere."""
        return {file for claim in claims for file in self._files[claim]}

    def _all(self, tries: Sequence[Callable[[], dict[str, Found]]]) -> list[dict[str, Found]]:
        """What each run found, as many at a time as there may be; all end when one cannot run."""
        with ThreadPoolExecutor(self._arguments.jobs) as pool:
            under_way = [pool.submit(each) for each in tries]
            try:
                return [each.result() for each in under_way]
            except BaseException:
                self._break_off()
                raise

    def _run_claims(
        self,
        name: str,
        claims: Sequence[str],
        saboteurs: Sequence[str] = (),
        where: Iterable[str] = (),
    ) -> dict[str, Found]:
        """What one run says of each claim; of none when it could not run."""
        began, log = time.monotonic(), self._logs / f"{name}.log"
        with TemporaryDirectory(prefix=f"{name}-", dir=self._logs) as place:
            command = self._command(Path(place), claims, saboteurs, sorted(filter(None, where)))
            code = self._pytest(command, log)
            lines = [line for each in Path(place).glob(f"*/{FINDINGS}") for line in each.open()]
        (self._logs / f"{name}.ndjson").write_text("".join(lines), encoding="utf-8")
        took_s = time.monotonic() - began
        self._say(f"{name}: {len(lines)} tests of {len(claims)} claims, {took_s:.0f} s")
        if code not in _RAN:
            self._say(f"{name}: pytest ended with {code}, see {log}")
            if not saboteurs:
                raise CannotJudge(f"pytest ended with {code}, see {log}")
        findings = [json.loads(line) for line in lines]
        for each in findings:
            self._note(each["node"], each["claims"])
        return kill_matrix.by_claim(findings)

    def _command(
        self, place: Path, claims: Sequence[str], saboteurs: Sequence[str], where: Sequence[str]
    ) -> list[str]:
        scenarios = " or ".join(sorted({claim.partition(".")[0] for claim in claims}))
        # With "=", since pytest takes a directory that stands alone for one with tests.
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *where]
        command += ["-m", scenarios, "--spec11-findings", "--spec11-scope", "demo"]
        command += [f"--spec11-dir={place.absolute()}", "--spec11-claims", ",".join(claims)]
        if saboteurs:
            command += ["--spec11-saboteur", ",".join(saboteurs)]
        if self._arguments.catalogue:
            command += [f"--spec11-catalogue={self._arguments.catalogue.absolute()}"]
        return command

    def _pytest(self, command: Sequence[str], log: Path) -> int:
        """How that run of pytest ended."""
        with log.open("wb") as out:
            with self._lock:
                if self._over:
                    raise CannotJudge("broken off")
                running = subprocess.Popen(  # noqa: S603  # our own interpreter, no shell
                    command, cwd=self._arguments.root, stdout=out, stderr=out
                )
                self._running.add(running)
            try:
                return running.wait()
            finally:
                if running.poll() is not None:
                    self._running.discard(running)

    def _say(self, what: str) -> None:
        print(what, file=sys.stderr, flush=True)


def _interrupt(*_: object) -> None:
    """Treat a request to end like Ctrl-C."""
    raise KeyboardInterrupt


def _shares(claims: Sequence[str], count: int) -> list[list[str]]:
    """At most ``count`` shares of the claims, of similar size; a scenario is never split."""
    scenarios: dict[str, list[str]] = {}
    for claim in claims:
        scenarios.setdefault(claim.partition(".")[0], []).append(claim)
    shares: list[list[str]] = [[] for _ in range(count)]
    for some in sorted(scenarios.values(), key=len, reverse=True):
        min(shares, key=len).extend(some)
    return [share for share in shares if share]
