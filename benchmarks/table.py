"""The table that people read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from benchmarks.figures import HIGHER, Figure, Outcome, Row
from benchmarks.record import Results

HEADS: Final = ("what", "figure", "rounds", "noise", "goal", "")
SAME: Final = "same"
BETTER: Final = "better"
WORSE: Final = "worse"


def render(results: Results, earlier: Mapping[str, Figure] | None = None) -> str:
    """One line a row; with ``earlier`` figures, one more column says what changed."""
    heads = HEADS if earlier is None else (*HEADS, "before")
    lines = [heads, *(_cells(row, figure, earlier) for row, figure in results.found.items())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join([*_align_lines(lines, widths), *_failures(results), *_misses(results)])


def compare(row: Row, now: Figure, before: Figure) -> str:
    """Better or worse, when the change is larger than the noise of both together."""
    change = now.value - before.value
    if abs(change) <= now.noise + before.noise:
        return SAME
    return BETTER if (change > 0) == (row.better == HIGHER) else WORSE


def _cells(row: Row, figure: Figure, earlier: Mapping[str, Figure] | None) -> tuple[str, ...]:
    low, high = _number(min(figure.rounds)), _number(max(figure.rounds))
    cells = (
        row.title,
        f"{_number(figure.value)} {row.unit}".rstrip(),
        low if low == high else f"{low} … {high}",
        f"± {_number(figure.noise)}" if figure.noise or len(figure.rounds) > 1 else "one round",
        format_goal(row),
        str(row.judge(figure)),
    )
    return cells if earlier is None else (*cells, _change(row, figure, earlier.get(row.name)))


def format_goal(row: Row) -> str:
    """The goal with its direction; nothing when there is none."""
    if row.goal is None:
        return ""
    return f"{'≥' if row.better == HIGHER else '≤'} {_number(row.goal)}"


def _change(row: Row, now: Figure, before: Figure | None) -> str:
    if before is None:
        return "new"
    share = f" {now.value / before.value - 1:+.0%}" if before.value else ""
    return f"{_number(before.value)}{share} {compare(row, now, before)}"


def _align_lines(lines: list[tuple[str, ...]], widths: list[int]) -> Iterator[str]:
    for line in lines:
        cells = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _failures(results: Results) -> Iterator[str]:
    for name, reason in results.failed.items():
        yield f"not measured: {name}: {reason}"


def _misses(results: Results) -> Iterator[str]:
    outcomes = [row.judge(figure) for row, figure in results.found.items()]
    counts = {each: outcomes.count(each) for each in Outcome}
    yield ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)


def _number(value: float) -> str:
    """Three digits that say something."""
    digits = next((d for limit, d in ((100, 0), (10, 1)) if abs(value) >= limit), 2)
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
