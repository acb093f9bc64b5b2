"""What the prover's commands cost on 100,000 records, beside sha256 and parsing of the same bytes.

Times are processor time. A bundle ten times smaller shows whether memory grows with the records.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from benchmarks import lab
from benchmarks.figures import LOWER, Effort, Figure, Figures, Measurement, Row, alternate
from pytest_spec11.canon import canonical
from pytest_spec11.evidence.journal import Journal

RECORDS: Final = 100_000
NODES: Final = 1000
TREE: Final = "0" * 40
ROUNDS: Final = 3
LIMIT_S: Final = 120.0
VERIFY: Final = Row(
    name="verify-time",
    title="spec11 verify, 100,000 records, vs sha256 and parsing",
    unit="x",
    better=LOWER,
    goal=1.5,
)
VERIFY_MEMORY: Final = Row(
    name="verify-memory", title="spec11 verify, peak of memory", unit="MiB", better=LOWER, goal=150
)
VERIFY_GROWTH: Final = Row(
    name="verify-growth",
    title="spec11 verify, memory for ten times the records",
    unit="MiB more",
    better=LOWER,
    goal=8,
)
GATE: Final = Row(
    name="gate-time", title="spec11 gate vs sha256 and parsing", unit="x", better=LOWER, goal=6
)
GATE_MEMORY: Final = Row(
    name="gate-memory", title="spec11 gate, peak of memory", unit="MiB", better=LOWER, goal=150
)
GATE_GROWTH: Final = Row(
    name="gate-growth",
    title="spec11 gate, memory for ten times the records",
    unit="MiB more",
    better=LOWER,
    goal=8,
)
REPORT: Final = Row(
    name="report-time", title="spec11 report vs sha256 and parsing", unit="x", better=LOWER, goal=7
)
REPORT_MEMORY: Final = Row(
    name="report-memory", title="spec11 report, peak of memory", unit="MiB", better=LOWER, goal=150
)
# In a process of its own. The kernel's VmHWM is the peak of this program alone; ru_maxrss would
# begin with what the process that started it had.
METER: Final = """
import contextlib, io, json, sys, time
from pathlib import Path
{prepare}
begin = time.process_time()
with contextlib.redirect_stdout(io.StringIO()):
    found = {call}
seconds = time.process_time() - begin
assert {holds}, found
peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
print(json.dumps({{"seconds": seconds, "peakMib": int(peak) / 1024}}))
"""
COMMANDS: Final = {
    "verify": METER.format(
        prepare="from pytest_spec11.verify import verify",
        call="verify(Path(sys.argv[1]))",
        holds="(found.verdict, found.findings) == ('UNKNOWN', ())",
    ),
    "gate": METER.format(
        prepare="from pytest_spec11.cli import main",
        call="main(['gate', sys.argv[1]])",
        holds="found == 1",
    ),
    "report": METER.format(
        prepare="from pytest_spec11.cli import main\nimport reports.html",
        call="main(['report', sys.argv[1], '--html', sys.argv[1] + '.html'])",
        holds="found == 0",
    ),
}


def measure(effort: Effort) -> Figures:
    """Alternate the commands with the floor, then look at the small bundle."""
    records = effort.scale(RECORDS)
    memory: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory(prefix="spec11-bench-") as made:
        small = write_bundle(Path(made, "small"), records // 10)
        large = write_bundle(Path(made, "large"), records)

        def run(name: str) -> float:
            seconds, peak_mib = _run_command(name, large)
            memory[name].append(peak_mib)
            return seconds

        sides = {name: partial(run, name) for name in COMMANDS}
        sides |= {"floor": partial(hash_and_parse, large / "journal-main.ndjson")}
        sides |= {"twin": partial(run, "verify")}
        found = alternate(sides, effort.count_rounds(ROUNDS), warm_up=False)
        few = {name: _run_command(name, small)[1] for name in ("verify", "gate")}
    return {
        VERIFY.name: Figure.from_pairs(found["verify"], found["floor"], found["twin"]),
        GATE.name: Figure.from_pairs(found["gate"], found["floor"]),
        REPORT.name: Figure.from_pairs(found["report"], found["floor"]),
        VERIFY_MEMORY.name: Figure.from_rounds(memory["verify"]),
        GATE_MEMORY.name: Figure.from_rounds(memory["gate"]),
        REPORT_MEMORY.name: Figure.from_rounds(memory["report"]),
        VERIFY_GROWTH.name: Figure.from_rounds([m - few["verify"] for m in memory["verify"]]),
        GATE_GROWTH.name: Figure.from_rounds([m - few["gate"] for m in memory["gate"]]),
    }


def write_bundle(folder: Path, records: int, nodes: int = NODES) -> Path:
    """A run as tests leave it: observations with facts, an assertion each, outcomes."""
    journal = Journal(folder / "journal-main.ndjson", folder / "blobs")
    journal.start(runId="bench", nonce="n", role="main", pid=1, binding={"tree": TREE})
    names = [f"test_file.py::test_number[{number}]" for number in range(nodes)]
    items = [{"node": node, "claims": ["S00.x"], "scenarios": ["S00"]} for node in names]
    journal.write("collected", items=items, deselected=[], defined=[], selected=[])
    for number in range((records - nodes - 3) // 2):
        node = names[number % nodes]
        journal.write("observation", **make_observation(node, number))
        journal.write("assertion", node=node, line=number, text="reply.status == 200")
    phases = {"setup": "passed", "call": "passed", "teardown": "passed"}
    for node in names:
        outcome: dict[str, Any] = {"attempt": 1, "outcome": "passed", "phases": phases}
        outcome |= {"claims": ["S00.x"], "voids": [], "witness": phases}
        journal.write("outcome", node=node, **outcome)
    journal.seal(exitStatus=0)
    return folder


def make_observation(node: str, number: int) -> dict[str, Any]:
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


def hash_and_parse(path: Path) -> float:
    """Processor seconds of sha256 over the bytes plus parsing of every line."""
    begin = time.process_time()
    total = sha256()
    with path.open("rb") as file:
        for line in file:
            total.update(line)
            json.loads(line)
    return time.process_time() - begin


def _run_command(name: str, bundle: Path) -> tuple[float, float]:
    """Processor seconds and the peak of memory, MiB."""
    argv = [sys.executable, "-c", COMMANDS[name], str(bundle)]
    ended = lab.run_to_end(argv, lab.ROOT, {}, LIMIT_S)
    if ended.code:
        raise lab.MeasurementFailed(f"spec11 {name}: {ended.said[-lab.TAIL :]}")
    found = json.loads(ended.said)
    return float(found["seconds"]), float(found["peakMib"])


MEASUREMENT: Final = Measurement(
    name="verify",
    rows=(
        VERIFY,
        VERIFY_MEMORY,
        VERIFY_GROWTH,
        GATE,
        GATE_MEMORY,
        GATE_GROWTH,
        REPORT,
        REPORT_MEMORY,
    ),
    measure=measure,
)
