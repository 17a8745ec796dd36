"""True rank and regret of a candidate, from a table in which every candidate has been trained."""

from __future__ import annotations

import numpy as np

from naslab.analysis.oracle import ranks
from naslab.architecture import Architecture
from naslab.benchmarks import Benchmark
from naslab.errors import SpecError

UNKNOWN = (float("nan"), float("nan"))


class Truth:
    """An oracle: it sees the benchmark's objective, whatever the search is shown."""

    def __init__(self, benchmark: Benchmark) -> None:
        self._benchmark, self.metric, self.candidates = benchmark, benchmark.objective, len(benchmark)
        utility = np.asarray(benchmark.utility(), dtype=np.float64)
        self._ranks, self._regrets = ranks(utility), np.nanmax(utility) - utility

    def of(self, architecture: Architecture) -> tuple[float, float]:
        """(rank, regret): 1 is the best of all, and regret is in the metric's unit; NaN for what is in no row."""
        try:
            number = self._benchmark.index(architecture)
        except SpecError:
            return UNKNOWN
        if not np.isfinite(self._regrets[number]):
            return UNKNOWN
        return float(self._ranks[number]), float(self._regrets[number])
