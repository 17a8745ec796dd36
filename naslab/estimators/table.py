"""Tabular lookup: the fitness of an architecture stands in a benchmark (Ying et al. 2019,
https://arxiv.org/abs/1902.09635, who made the first one).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from naslab import benchmarks
from naslab.architecture import Architecture
from naslab.benchmarks import Benchmark
from naslab.errors import SpecError


class Table:
    """A column of a benchmark as fitness. Where little is wanted (latency, parameters), the fitness is its negative.

    The test accuracy, NAS-Bench-201's default, makes an oracle: right for comparing searchers without noise. A search
    as one would really do it sees `metric="valid_accuracy", epochs=12`, and never the test data.

    Args:
        benchmark: for instance `naslab.benchmarks.NASBench201("cifar10")`.
        metric: one of `benchmark.metrics`; the benchmark's `objective` if left out.
        epochs: after how long a training, where the benchmark knows several.
    """

    name = "table"

    def __init__(self, benchmark: Benchmark, metric: str | None = None, *, epochs: int | None = None) -> None:
        if not isinstance(benchmark, Benchmark):
            raise SpecError(f"expected a benchmark, for instance nl.benchmarks.NASBench201(), got {benchmark!r:.200}")
        self.benchmark, self.metric, self.epochs = benchmark, metric or benchmark.objective, epochs
        self.space = benchmark.space
        fitness = benchmark.goodness(self.metric, epochs=epochs).tolist()
        self._fitness = dict(zip(benchmark.choices, fitness, strict=True))

    def __call__(self, architecture: Architecture) -> float:
        if architecture.space == self.space.name and (found := self._fitness.get(architecture.choices)) is not None:
            return found
        return self._fitness[self.benchmark.choices[self.benchmark.index(architecture)]]

    def spec(self) -> dict[str, Any]:
        return {
            "estimator": self.name,
            "benchmark": self.benchmark.spec(),
            "metric": self.metric,
            "epochs": self.epochs,
        }

    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps([self.benchmark.fingerprint(), self.metric, self.epochs]).encode()).hexdigest()

    @classmethod
    def from_spec(cls, spec: dict[str, Any], task: Any = None) -> Table:
        return cls(benchmarks.from_spec(spec["benchmark"]), spec["metric"], epochs=spec["epochs"])
