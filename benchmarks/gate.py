"""What judging costs: ``spec11 gate``, ``report`` and ``verify`` on bundles of growing size.

Each command runs in a process of its own. Its processor time is compared with sha256 over the same
bytes plus the parsing of each line; what it needs for a bundle of ten records is taken off before.
Exits 1 when a bound is exceeded.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.verify import hash_and_parse, write_bundle

SIZES: Final = (10_000, 100_000, 1_000_000)
COMMANDS: Final = ("gate", "report", "verify")
# Processor time to that of sha256 and parsing, and MiB at most, whatever the number of records.
RATIOS: Final = {"gate": 6.0, "report": 7.0, "verify": 2.5}
MEMORY_MIB: Final = 150.0
_TINY: Final = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One command on a bundle of one size."""

    command: str
    records: int
    seconds: float  # of processor time, without what a tiny bundle costs
    ratio: float  # to sha256 and parsing
    memory_mib: float  # the most that it ever held

    @property
    def is_within_bounds(self) -> bool:
        """Whether it is as fast and as small as it has to be."""
        return self.ratio <= RATIOS[self.command] and self.memory_mib <= MEMORY_MIB

    def describe(self) -> str:
        """The row as a line of text."""
        return (
            f"{self.command:<7}{self.records:>10} records  {self.seconds:7.2f} s  "
            f"x {self.ratio:5.2f} of hashing and parsing  {self.memory_mib:5.0f} MiB"
        )


def measure_rows(sizes: Sequence[int] = SIZES) -> Iterator[Row]:
    """A row for each command and size, smallest first."""
    with tempfile.TemporaryDirectory(prefix="spec11-bench-") as made:
        tiny = write_bundle(Path(made, "tiny"), _TINY, nodes=1)
        constant = {command: _measure(command, tiny)[0] for command in COMMANDS}
        for size in sizes:
            folder = write_bundle(Path(made, str(size)), size)
            base = hash_and_parse(folder / "journal-main.ndjson")
            for command in COMMANDS:
                seconds, memory = _measure(command, folder)
                own = max(0.0, seconds - constant[command])
                yield Row(command, size, own, own / base, memory)


def _measure(command: str, folder: Path) -> tuple[float, float]:
    """Processor seconds and MiB of a command on a bundle."""
    words = {"gate": ("--json",), "report": ("--html", str(folder / "page.html")), "verify": ()}
    argv = [sys.executable, "-m", "pytest_spec11.cli", command, str(folder), *words[command]]
    with (folder.parent / "output").open("wb") as output:
        file = output.fileno()
        child = os.posix_spawn(
            sys.executable,
            argv,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, file, 1), (os.POSIX_SPAWN_DUP2, file, 2)],
        )
        _, status, used = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status) not in {0, 1, 2}:
        raise SystemExit(f"{command}: {(folder.parent / 'output').read_text()[-500:]}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> int:
    """0 when every bound holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, nargs="*", default=SIZES)
    good = True
    for row in measure_rows(parser.parse_args().records):
        print(row.describe(), flush=True)
        good = good and row.is_within_bounds
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
