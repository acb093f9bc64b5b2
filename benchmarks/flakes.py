"""Tests that are red now and then: the suite again and again, each time in another order.

Some rounds have the machine for themselves, others run beside processes that only burn time. Each
red test is named with its round, the seed of the order and where to read on.

The search may be made in parts: `.spec11/flakes.ndjson` keeps each round that ended, and the last
line and the status are of all rounds of the same tests of the same tree.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import flake_ledger
from benchmarks.flake_ledger import Entry
from pytest_spec11.evidence import binding

RED: Final = re.compile(r"^(?:FAILED|ERROR) (?P<test>\S.*?)(?: - .*)?$", re.MULTILINE)
EVIDENCE: Final = re.compile(r"^evidence: (\S+)$", re.MULTILINE)
ROUND_S: Final = 3600
ASKED_S: Final = 60  # to end, by Ctrl-C, before it is made to
INTERRUPTED: Final = 130
# It ends with whoever began it, however that ends.
BURNER: Final = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    sum(range(100_000))
"""


@dataclass(frozen=True)
class Round:
    """One run of the tests, and the seed of its order."""

    name: str
    kind: str
    seed: int
    burners: int


@dataclass(frozen=True)
class Search:
    """What is searched: the same tests of the same tree, in every round."""

    tree: str
    tests: tuple[str, ...]
    workers: int
    folder: Path  # of the logs


def main(argv: Sequence[str] | None = None) -> int:
    """0 when every round of this tree was green, 1 when one was not, 130 after Ctrl-C."""
    wanted = _parse_arguments(argv)
    search = _begin(wanted)
    interrupted = False
    for each in _rounds(wanted):
        try:
            entry = run(each, search)
        except KeyboardInterrupt:
            interrupted = True
            break
        flake_ledger.append(entry)
        print(f"{each.name}: seed {each.seed}, {len(entry.red)} red", flush=True)
    entries = flake_ledger.read(search.tree, search.tests)
    for entry in entries:
        for line in entry.lines():
            print(line)
    print(flake_ledger.describe(entries))
    if interrupted:
        return INTERRUPTED
    return 1 if any(entry.red for entry in entries) else 0


def _begin(wanted: argparse.Namespace) -> Search:
    tree = str(binding.measure(Path(), "", "demo", "")["tree"])
    began = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    folder = Path(".spec11") / f"flakes-{began}-{secrets.token_hex(4)}"
    folder.mkdir(parents=True)
    return Search(tree, tuple(wanted.tests), wanted.workers, folder)


def _parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flakes", description=__doc__)
    parser.add_argument("--plain", type=int, default=5, help="rounds alone")
    parser.add_argument("--busy", type=int, default=3, help="rounds beside burners")
    parser.add_argument("--burners", type=int, default=4, help="processes that only burn time")
    parser.add_argument("--workers", type=int, default=2, help="of pytest-xdist")
    parser.add_argument("--seed", type=int, help="of the first round; the next has one more")
    parser.add_argument("tests", nargs="*", default=["tests", "scenarios"])
    return parser.parse_args(argv)


def _rounds(wanted: argparse.Namespace) -> list[Round]:
    first = secrets.randbelow(1_000_000) if wanted.seed is None else wanted.seed
    kinds = [("plain", 0)] * wanted.plain + [("busy", wanted.burners)] * wanted.busy
    return [
        Round(f"{kind}-{number}", kind, first + number, burners)
        for number, (kind, burners) in enumerate(kinds)
    ]


def run(each: Round, search: Search) -> Entry:
    """How one round ended. Nothing that it began outlives it."""
    log = search.folder / f"{each.name}.log"
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-rfE", "-n", str(search.workers)),
        *("--random-order-bucket=module", f"--random-order-seed={each.seed}", *search.tests),
    ]
    with burning(each.burners), log.open("wb") as out:
        status = _run_command(command, out.fileno())
    said = log.read_text(encoding="utf-8", errors="replace")
    red = [*dict.fromkeys(found["test"] for found in RED.finditer(said))]
    if status != 0 and not red:
        red = [f"(no test is named, pytest ended with {status})"]
    found = EVIDENCE.search(said)
    return Entry(
        tree=search.tree,
        tests=[*search.tests],
        kind=each.kind,
        seed=each.seed,
        red=red,
        log=str(log),
        evidence=found[1] if found else "no evidence",
    )


def _run_command(command: Sequence[str], out: int) -> int:
    """The exit status of the command; it and its group are gone, also after Ctrl-C."""
    with subprocess.Popen(  # noqa: S603  # our own interpreter
        command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
    ) as process:
        try:
            return process.wait(ROUND_S)
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(ASKED_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def burning(number: int) -> Iterator[None]:
    """So many processes burn time while the block runs."""
    with ExitStack() as burners:
        for _ in range(number):
            process = subprocess.Popen([sys.executable, "-c", BURNER, str(os.getpid())])  # noqa: S603  # ours
            burners.enter_context(process)  # it is awaited, once it was killed
            burners.callback(process.kill)
        yield


if __name__ == "__main__":
    sys.exit(main())
