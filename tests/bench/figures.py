"""Figures: what a section of the benchmark measured, against which goals, and how numbers are summed up."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

Bound = Literal["at least", "at most"]


class Spread(msgspec.Struct, frozen=True):
    """A figure over several rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Sum up at least one value."""
        ordered = sorted(values)
        return cls(statistics.median(ordered), ordered[0], ordered[-1])

    @classmethod
    def of_known(cls, values: Iterable[float | None]) -> "Spread | None":
        """Sum up what could be measured; None when nothing could."""
        known = [value for value in values if value is not None]
        return cls.of(known) if known else None

    @classmethod
    def of_ratios(cls, values: Sequence[float], base: Sequence[float]) -> "Spread":
        """Sum up the ratios round by round: what slows the machine for a while slows both sides of one round."""
        return cls.of(value / other for value, other in zip(values, base, strict=True))


class Row(msgspec.Struct, frozen=True):
    """One stack's figures, by column; None where a column does not apply."""

    name: str
    values: Mapping[str, Spread | None]


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """What was wanted, and what came out."""

    text: str
    bound: Bound
    wanted: float
    measured: Spread
    unit: str

    @property
    def is_reached(self) -> bool:
        """Judge by the median."""
        if self.bound == "at least":
            return self.measured.median >= self.wanted
        return self.measured.median <= self.wanted


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One table of the report."""

    title: str
    conditions: list[str]
    columns: list[str]
    rows: list[Row]
    goals: list[Goal]
    faults: list[str]
    """What makes the figures invalid: failed requests, lost jobs, jobs that ran twice."""
    doubts: list[str] = []
    """What makes them less trustworthy: a machine that did something else meanwhile."""


def quantile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank: the smallest value that at least `share` of all values do not exceed."""
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]
