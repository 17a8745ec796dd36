"""Oracle mode: the true quality of each candidate of a search, from a table of all architectures."""

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
    """The Q candidates of one search, in the order of their evaluation; all arrays are [Q]."""

    metric: str
    size: int
    """Number of architectures in the table."""
    architectures: tuple[Architecture, ...]
    fitness: np.ndarray
    """Fitness that the searcher observed; NaN for a failure."""
    worth: np.ndarray
    """True value from the table; more is better."""
    rank: np.ndarray
    """True rank in the table; 1 is the best."""
    regret: np.ndarray
    """Difference between the best of the table and the candidate, at least 0."""
    best: np.ndarray
    """Index of the incumbent, the fittest so far by the observed fitness; -1 before the first success."""

    @property
    def percentile(self) -> np.ndarray:
        """[Q]: percentage of all architectures that are not better than the candidate."""
        return 100 * (1 - (self.rank - 1) / self.size)

    def of_best(self, values: np.ndarray) -> np.ndarray:
        """Returns [Q]: the entries of one of these arrays for the incumbent; NaN before the first success."""
        return np.where(self.best >= 0, values[np.maximum(self.best, 0)], np.nan)


def ranks(utility: np.ndarray) -> np.ndarray:
    """Returns [N] int: 1 + the number of strictly better entries. Ties share the best of their ranks; NaN is worst."""
    known = np.where(np.isnan(utility), -np.inf, utility)
    ordered = np.sort(known)
    return 1 + len(known) - np.searchsorted(ordered, known, side="right")


def oracle(
    events: Iterable[Event], benchmark: Benchmark, metric: str | None = None, *, epochs: int | None = None
) -> Oracle:
    """Returns the true values and ranks of the candidates.

    Args:
        events: events of a search in the benchmark's space (`search.events`); only evaluations are used.
        benchmark: table with the true values.
        metric: column of the true values; by default the benchmark's objective.
        epochs: length of the training, if the benchmark has several.
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
