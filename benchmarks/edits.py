"""Ten thousand random edits of a signed-off bundle: every one of them has to be seen.

Edits, removals, reorders, swaps, replays and losses of records and files, the same in every run.
Exits 1 when one of them is GO all the same.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from pytest_spec11.verify import verify
from tests.plugin.edits import survivors
from tests.plugin.releases import Release


def main() -> int:
    """0 when all were detected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=11)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="spec11-edits-") as made:
        release = Release(Path(made, "bundle", "r1"))
        release.sign_off()
        begin = time.process_time()
        left = survivors(release.folder.parent, given.edits, given.seed)
        took = time.process_time() - begin
        untouched = verify(release.folder.parent).verdict
    print(
        f"{given.edits - len(left)} of {given.edits} edits detected, {took:.0f} s of processor time"
    )
    print("\n".join(left) or f"untouched: {untouched}")
    return int(bool(left) or untouched != "GO")


if __name__ == "__main__":
    sys.exit(main())
