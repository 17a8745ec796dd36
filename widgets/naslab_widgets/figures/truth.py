"""True rank and regret of a candidate, from a tabular benchmark."""

from __future__ import annotations

import numpy as np

from naslab.analysis.oracle import ranks
from naslab.architecture import Architecture
from naslab.benchmarks import Benchmark
from naslab.errors import SpecError

UNKNOWN = (float("nan"), float("nan"))


class Truth:
    """An oracle: it reads the benchmark's objective, whatever metric the search sees."""

    def __init__(self, benchmark: Benchmark) -> None:
        self._benchmark, self.metric, self.candidates = benchmark, benchmark.objective, len(benchmark)
        utility = np.asarray(benchmark.utility(), dtype=np.float64)
        self._ranks, self._regrets = ranks(utility), np.nanmax(utility) - utility

    def of(self, architecture: Architecture) -> tuple[float, float]:
        """Returns (rank, regret): rank 1 is the best, regret is in the metric's unit; NaN if not in the table."""
        try:
            number = self._benchmark.index(architecture)
        except SpecError:
            return UNKNOWN
        if not np.isfinite(self._regrets[number]):
            return UNKNOWN
        return float(self._ranks[number]), float(self._regrets[number])
