"""What a verification costs: 100,000 records beside sha256 and parsing of the same bytes.

Two sizes show that it grows as the records do, and that its memory does not. Figures are processor
time of one run. Exits 1 when a bound is exceeded.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from pytest_spec11.canon import canonical
from pytest_spec11.evidence.journal import Journal

RATIO: Final = 3.0
GROWTH: Final = 1.3  # time per record, of the large bundle to the small one
MEMORY_MIB: Final = 8.0  # more of it for ten times the records
NODES: Final = 1000
ROUNDS: Final = 3
# In a process of its own, whose memory is nobody else's: processor seconds, peak of memory.
MEASURE: Final = """
import json, resource, sys, time
from pathlib import Path
from pytest_spec11.verify import verify
best = 1e9
for _ in range(int(sys.argv[2])):
    begin = time.process_time()
    report = verify(Path(sys.argv[1]))
    best = min(best, time.process_time() - begin)
assert (report.verdict, report.findings) == ("UNKNOWN", ()), report.findings[:3]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"records": report.records, "seconds": best, "peakKib": peak}))
"""


def main() -> int:
    """0 when every bound holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    records = parser.parse_args().records
    with tempfile.TemporaryDirectory(prefix="spec11-bench-") as made:
        small = written(Path(made, "small"), records // 10)
        large = written(Path(made, "large"), records)
        base = bare(large / "journal-main.ndjson")
        few, many = measured(small), measured(large)
    ratio = many["seconds"] / base
    growth = many["seconds"] / many["records"] / (few["seconds"] / few["records"])
    more = (many["peakKib"] - few["peakKib"]) / 1024
    print(f"{many['records']} records: {many['seconds']:.2f} s, sha256 and parsing {base:.2f} s")
    print(f"ratio {ratio:.2f} (at most {RATIO:g}), time per record x {growth:.2f}")
    print(f"memory {many['peakKib'] / 1024:.0f} MiB, {more:+.1f} MiB for ten times the records")
    return int(ratio > RATIO or growth > GROWTH or more > MEMORY_MIB)


def written(folder: Path, records: int, nodes: int = NODES) -> Path:
    """A run as tests leave it: observations with facts, an assertion each, outcomes."""
    journal = Journal(folder / "journal-main.ndjson", folder / "blobs")
    journal.start(runId="bench", nonce="n", role="main", pid=1, binding={})
    names = [f"test_file.py::test_number[{number}]" for number in range(nodes)]
    items = [{"node": node, "claims": ["S00.x"], "scenarios": ["S00"]} for node in names]
    journal.write("collected", items=items, deselected=[])
    for number in range((records - nodes - 3) // 2):
        node = names[number % nodes]
        journal.write("observation", **observed(node, number))
        journal.write("assertion", node=node, line=number, text="reply.status == 200")
    phases = {"setup": "passed", "call": "passed", "teardown": "passed"}
    for node in names:
        outcome: dict[str, Any] = {"attempt": 1, "outcome": "passed", "phases": phases}
        journal.write("outcome", node=node, claims=["S00.x"], voids=[], **outcome)
    journal.seal(exitStatus=0)
    return folder


def observed(node: str, number: int) -> dict[str, Any]:
    """An observation of about the size that the oracles write."""
    facts = {
        "method": "GET",
        "path": f"/api/runs/ih_{number:064x}",
        "requestHeaders": {"accept": "*/*", "host": "127.0.0.1", "user-agent": "python-httpx"},
        "requestSha256": sha256(b"").hexdigest(),
        "responseBytes": 512,
        "responseHeaders": {"content-type": "application/json", "content-length": "512"},
        "responseSha256": sha256(str(number).encode()).hexdigest(),
        "status": 200,
        "elapsedMs": 1.875,
    }
    content = canonical(facts)
    return {
        "node": node,
        "source": "api",
        "ref": f"GET /api/runs/{number}",
        "digest": sha256(content).hexdigest(),
        "size": len(content),
        "blob": None,
        "facts": facts,
        "empty": False,
    }


def bare(path: Path) -> float:
    """Processor seconds of sha256 over the bytes plus parsing of every line."""
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.process_time()
        total = sha256()
        with path.open("rb") as file:
            for line in file:
                total.update(line)
                json.loads(line)
        best = min(best, time.process_time() - begin)
    return best


def measured(folder: Path) -> dict[str, float]:
    """What the verifier took for it."""
    argv = [sys.executable, "-c", MEASURE, str(folder), str(ROUNDS)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)  # noqa: S603  # our own interpreter
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    sys.exit(main())
