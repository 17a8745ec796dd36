"""Oracle mode: how good each candidate of a search truly was, seen from a table that knows all architectures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from naslab.analysis.curves import incumbents
from naslab.architecture import Architecture
from naslab.benchmarks import Benchmark
from naslab.errors import SpecError
from naslab.events import Evaluated, Event
from naslab.immutable import Record


@dataclass(frozen=True, kw_only=True, eq=False)
class Oracle(Record):
    """The candidates of one search, in the order of their evaluation; all arrays are [Q]."""

    metric: str
    size: int
    """How many architectures the table holds."""
    architectures: tuple[Architecture, ...]
    fitness: np.ndarray
    """As the searcher saw it; NaN for a candidate that failed."""
    worth: np.ndarray
    """In the table, more is better."""
    rank: np.ndarray
    """Of the candidate: 1 for the best of all."""
    regret: np.ndarray
    """What the candidate falls short of the best of all; 0 or more."""
    best: np.ndarray
    """Query, from 0, of the fittest so far in the eyes of the searcher; -1 before the first success."""

    @property
    def percentile(self) -> np.ndarray:
        """[Q]: how many in a hundred of all architectures are worse than the candidate, or as good."""
        return 100 * (1 - (self.rank - 1) / self.size)

    def of_best(self, values: np.ndarray) -> np.ndarray:
        """[Q]: the value, one of the arrays here, of the fittest so far; NaN before the first success."""
        return np.where(self.best >= 0, values[np.maximum(self.best, 0)], np.nan)


def ranks(utility: np.ndarray) -> np.ndarray:
    """[N] int: for each, how many are strictly better, and one more. Equals share a rank; NaN is the worst of all."""
    known = np.where(np.isnan(utility), -np.inf, utility)
    ordered = np.sort(known)
    return 1 + len(known) - np.searchsorted(ordered, known, side="right")


def oracle(
    events: Iterable[Event], benchmark: Benchmark, metric: str | None = None, *, epochs: int | None = None
) -> Oracle:
    """The true place of each candidate.

    Args:
        events: of a search in the benchmark's space (`search.events`); others than evaluations are passed over.
        benchmark: knows the truth.
        metric: the truth; the benchmark's objective if left out.
        epochs: after how long a training, where the benchmark knows several.
    """
    found = [event for event in events if isinstance(event, Evaluated)]
    if not found:
        raise SpecError("there is no candidate to look up: the search has evaluated none yet")
    numbers = np.array([benchmark.index(event.architecture) for event in found])
    utility = benchmark.utility(metric, epochs=epochs)
    fitness = np.array([np.nan if event.fitness is None else event.fitness for event in found], dtype=np.float64)
    return Oracle(
        metric=metric or benchmark.objective,
        size=len(benchmark),
        architectures=tuple(event.architecture for event in found),
        fitness=fitness,
        worth=utility[numbers],
        rank=ranks(utility)[numbers],
        regret=float(np.nanmax(utility)) - utility[numbers],
        best=incumbents(fitness),
    )
