"""What is measured: rows with a goal, and the figures found for them."""

from __future__ import annotations

import enum
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self, TypeAlias

HIGHER: Final = "higher"
LOWER: Final = "lower"
CHANCE: Final = 0.05  # that the true median lies outside of the interval that we state


class Outcome(enum.StrEnum):
    """What a figure says about its goal."""

    MET = "met"
    BARELY_MET = "met, within noise"  # the next run may say otherwise
    BARELY_MISSED = "missed, within noise"  # so it may here
    MISSED = "missed"
    SHOWN = "shown"  # there is no goal


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table. ``better`` says which direction is good; no ``goal``: shown only."""

    name: str
    title: str
    unit: str
    better: str
    goal: float | None = None

    def judge(self, figure: Figure) -> Outcome:
        """Compare ``figure`` with the goal."""
        if self.goal is None:
            return Outcome.SHOWN
        sign = 1 if self.better == HIGHER else -1
        margin = sign * (figure.value - self.goal)
        if margin >= 0:
            return Outcome.BARELY_MET if margin < figure.noise else Outcome.MET
        return Outcome.BARELY_MISSED if -margin < figure.noise else Outcome.MISSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number with the rounds it comes from.

    ``noise`` is how far two measurements of the same thing were apart, in the row's unit.
    ``parts`` are the raw numbers of each round, for the JSON file.
    """

    value: float
    rounds: tuple[float, ...]
    noise: float
    parts: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @classmethod
    def from_rounds(cls, rounds: Sequence[float]) -> Self:
        """The median of ``rounds``. Half of the distance between their extremes is the noise."""
        half = (max(rounds) - min(rounds)) / 2
        return cls(value=statistics.median(rounds), rounds=tuple(rounds), noise=half)

    @classmethod
    def from_pairs(
        cls, ours: Sequence[float], floor: Sequence[float], twin: Sequence[float] | None = None
    ) -> Self:
        """The median of the ratios of each pair.

        ``twin`` measured the same thing as ``ours``: the median ratio of these two should be 1. How
        far it may be away from 1 is the noise. Without a twin the spread of the ratios is the
        noise.
        """
        ratios = divide_pairs(ours, floor)
        found = cls.from_rounds(ratios)
        parts = {"ours": tuple(ours), "floor": tuple(floor)}
        if twin is None:
            return cls(value=found.value, rounds=found.rounds, noise=found.noise, parts=parts)
        same = divide_pairs(ours, twin)
        noise = found.value * max(abs(ratio - 1) for ratio in bound_median(same))
        parts["twin"] = tuple(twin)
        return cls(value=found.value, rounds=found.rounds, noise=noise, parts=parts)


def divide_pairs(ours: Sequence[float], floor: Sequence[float]) -> list[float]:
    """The ratio of each pair of rounds."""
    return [mine / other for mine, other in zip(ours, floor, strict=True)]


def bound_median(values: Sequence[float]) -> tuple[float, float]:
    """The interval in which the true median lies.

    Each value lies below the true median with a probability of one half, whatever its distribution
    is. So with many values the interval may leave out some at both ends, and it still misses the
    true median with a probability of at most ``CHANCE``. It leaves out none of up to eight values.
    """
    ordered, left_out = sorted(values), 0
    tail = 0.5 ** len(ordered)  # the probability that no value lies below the true median
    while (tail := tail + math.comb(len(ordered), left_out + 1) / 2 ** len(ordered)) <= CHANCE / 2:
        left_out += 1
    return ordered[left_out], ordered[-1 - left_out]


Figures: TypeAlias = Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured: everything, or a tenth of it to see that the scripts work."""

    quick: bool = False

    def count_rounds(self, full: int) -> int:
        """Rounds that count; there is a warm-up besides."""
        return 1 if self.quick else full

    def scale(self, full: int) -> int:
        """How many of something, of ``full``."""
        return max(1, full // 10) if self.quick else full


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A script that finds the figures of its ``rows``, all of them, by their names."""

    name: str
    rows: tuple[Row, ...]
    measure: Callable[[Effort], Figures]

    def run(self, effort: Effort) -> Figures:
        """Measure. Raises ValueError when a row has no figure, or a figure has no row."""
        found = self.measure(effort)
        expected = {row.name for row in self.rows}
        if expected != set(found):
            raise ValueError(f"{self.name}: rows {sorted(expected)}, figures {sorted(found)}")
        return found


def alternate(
    sides: Mapping[str, Callable[[], float]], rounds: int, *, warm_up: bool = True
) -> dict[str, list[float]]:
    """The values of each side, measured in turn, A B A B.

    The machine changes while we measure. Neighbours in time saw the same machine, so only they
    are compared. The first round fills caches and does not count.
    """
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + warm_up):
        for name, measure in sides.items():
            value = measure()
            if number >= warm_up:
                found[name].append(value)
    return found
