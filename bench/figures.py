"""Measurements and what is said about them: ratios within one round, then median and range over rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(slots=True)
class Sample:
    """One contestant's turn in one round. Times in seconds."""

    whole: list[float] = field(default_factory=list)
    """From sending a request to the last byte of its answer."""

    first: list[float] = field(default_factory=list)
    """From sending a request to the first byte of its answer's body."""

    elapsed: float = 0.0
    worked: float = 0.0
    """What the proxy spent of it on a processor."""

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.whole) / self.elapsed

    @property
    def work(self) -> float:
        """Processor time of the proxy for one answer."""
        return self.worked / len(self.whole)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and range of one figure over all rounds."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.least:.2f}–{self.most:.2f})"


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Figure by figure, since two turns of one round had the same neighbours on the machine."""
    return Spread.of([a / b for a, b in zip(above, below, strict=True)])


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows as a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
