"""Tabular lookup: the fitness of an architecture stands in a benchmark (Ying et al. 2019,
https://arxiv.org/abs/1902.09635, who made the first one).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from naslab import benchmarks
from naslab.architecture import Architecture
from naslab.benchmarks import Benchmark
from naslab.errors import SpecError
from naslab.estimators.estimator import Kept, Score, UnknownFidelity


class Table:
    """A column of a benchmark as fitness. Where little is wanted (latency, parameters), the fitness is its negative.

    The test accuracy, NAS-Bench-201's default, makes an oracle: right for comparing searchers without noise. A search
    as one would really do it sees `metric="valid_accuracy", epochs=12`, and never the test data.

    Args:
        benchmark: for instance `naslab.benchmarks.NASBench201("cifar10")`.
        metric: one of `benchmark.metrics`; the benchmark's `objective` if left out.
        epochs: after how long a training, where the benchmark knows several.
        figures: other metrics, which go with each fitness.
    """

    name = "table"
    keeps_weights = False

    def __init__(
        self,
        benchmark: Benchmark,
        metric: str | None = None,
        *,
        epochs: int | None = None,
        figures: Sequence[str] = (),
    ) -> None:
        if not isinstance(benchmark, Benchmark):
            raise SpecError(f"expected a benchmark, for instance nl.benchmarks.NASBench201(), got {benchmark!r:.200}")
        self.benchmark, self.metric, self.epochs = benchmark, metric or benchmark.objective, epochs
        self.space = benchmark.space
        fitness = benchmark.goodness(self.metric, epochs=epochs).tolist()
        self._fitness = dict(zip(benchmark.choices, fitness, strict=True))
        self._figures = {name: benchmark.column(name) for name in figures}
        self._levels: dict[float | None, tuple[list[float], list[float] | None]] = {}

    def __call__(self, architecture: Architecture) -> float | Score:
        if self._figures:
            number = self.benchmark.index(architecture)
            return Score(self._fitness[self.benchmark.choices[number]], self._known(number))
        if architecture.space == self.space.name and (found := self._fitness.get(architecture.choices)) is not None:
            return found
        return self._fitness[self.benchmark.choices[self.benchmark.index(architecture)]]

    def train(
        self,
        architecture: Architecture,
        *,
        fidelity: float | None = None,
        begin: Kept | None = None,
        keep: Path | None = None,
    ) -> Score:
        """What the table knows after so many epochs; with the simulated seconds, where it knows them.

        The seconds are those of the epochs that are new: a candidate that trains on pays the difference, although the
        published trainings, each with a schedule of its own, all began at the beginning.
        """
        number = self.benchmark.index(architecture)
        fidelity = self.epochs if fidelity is None else fidelity
        fitness, seconds = self._level(fidelity)
        if seconds is None:
            return Score(fitness[number], self._known(number))
        had = None if begin is None or begin.architecture != architecture else self._level(begin.fidelity)[1]
        new = seconds[number] - (had[number] if had else 0.0)
        return Score(fitness[number], {**self._known(number), "seconds": new})

    def check_fidelity(self, fidelity: float) -> None:
        """See `naslab.estimators.Trainable`."""
        self._level(fidelity)

    @property
    def fidelities(self) -> Sequence[int]:
        """Epochs that it can be asked for, the last those of its whole training; none where only that is known."""
        lengths = self.benchmark.lengths(self.metric)
        return lengths if self.epochs is None else tuple(length for length in lengths if length <= self.epochs)

    def _known(self, number: int) -> dict[str, float]:
        return {name: float(column[number]) for name, column in self._figures.items()}

    def _level(self, epochs: float | None) -> tuple[list[float], list[float] | None]:
        """Fitness and seconds after so many epochs, by number of the architecture."""
        if epochs not in self._levels:
            try:
                if epochs is not None and epochs != int(epochs):
                    raise SpecError(f"epochs={epochs} is not a whole number")
                whole = None if epochs is None else int(epochs)
                if whole is not None and whole != self.epochs and not self.fidelities:
                    raise SpecError(
                        f"{self.benchmark.name}: {self.metric!r} is known after the whole training only. Searchers "
                        "that ask for trainings of several lengths cannot work on this table; take one that does not, "
                        "for instance nl.searchers.RegularizedEvolution"
                    )
                fitness = self.benchmark.goodness(self.metric, epochs=whole).tolist()
                seconds = None
                if "seconds" in self.benchmark.metrics:
                    seconds = self.benchmark.column("seconds", epochs=whole).tolist()
            except SpecError as error:
                raise UnknownFidelity(f"a candidate was to be trained for {epochs} epochs, but {error}") from None
            self._levels[epochs] = fitness, seconds
        return self._levels[epochs]

    def spec(self) -> dict[str, Any]:
        return {
            "estimator": self.name,
            "benchmark": self.benchmark.spec(),
            "metric": self.metric,
            "epochs": self.epochs,
            **({"figures": list(self._figures)} if self._figures else {}),
        }

    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps([self.benchmark.fingerprint(), self.metric, self.epochs]).encode()).hexdigest()

    @classmethod
    def from_spec(cls, spec: dict[str, Any], task: Any = None) -> Table:
        return cls(
            benchmarks.from_spec(spec["benchmark"]),
            spec["metric"],
            epochs=spec["epochs"],
            figures=spec.get("figures", ()),
        )
