"""Everything that is measured, in the order in which it runs."""

from __future__ import annotations

from typing import Final

from benchmarks import demo, idle, latency, parked, plugin_start, runs, starts, verify
from benchmarks.figures import Measurement

MEASUREMENTS: Final[tuple[Measurement, ...]] = (
    starts.MEASUREMENT,
    runs.MEASUREMENT,
    latency.MEASUREMENT,
    parked.MEASUREMENT,
    idle.MEASUREMENT,
    verify.MEASUREMENT,
    plugin_start.MEASUREMENT,
    demo.MEASUREMENT,
)
