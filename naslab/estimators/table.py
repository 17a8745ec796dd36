"""Tabular lookup: the fitness of an architecture stands in a benchmark (Ying et al. 2019,
https://arxiv.org/abs/1902.09635, who made the first one).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from naslab import benchmarks
from naslab.architecture import Architecture
from naslab.benchmarks import Benchmark
from naslab.errors import SpecError, unknown
from naslab.estimators.estimator import CheckpointRef, Score, UnknownFidelity

SPENT = ("seconds", "energy", "co2")
"""What a metric ends with that a training spends: what has been spent is not paid again."""


class Level(NamedTuple):
    """What is known after a training of one length."""

    fitness: list[float]
    """By the number of the architecture."""
    figures: Mapping[str, list[float]]


class Table:
    """A column of a benchmark as fitness. Where little is wanted (latency, parameters), the fitness is its negative;
    the value of the objective is the column itself.

    The test accuracy, NAS-Bench-201's default, makes an oracle: right for comparing searchers without noise. A search
    as one would really do it sees `metric="valid_accuracy", epochs=12`, and never the test data.

    Args:
        benchmark: for instance `naslab.benchmarks.NASBench201("cifar10")`.
        metric: one of `benchmark.metrics`; the benchmark's `objective` if left out.
        epochs: after how long a training, where the benchmark knows several.
        figures: other metrics, which go with each fitness, after as long a training.
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
        if metric is not None and not isinstance(metric, str):
            raise SpecError(unknown("metric", metric, benchmark.metrics))
        self.benchmark, self.metric, self.epochs = benchmark, metric or benchmark.objective, epochs
        self.space = benchmark.space
        self.figures = tuple(figures)
        self._levels: dict[float | None, Level] = {}
        self.objectives = (benchmark.objective_of(self.metric),)
        fitness = benchmark.utility(self.metric, epochs=epochs).tolist()
        self._fitness = dict(zip(benchmark.choices, fitness, strict=True))
        for name in self.figures:
            self._column(name, epochs)

    def __call__(self, architecture: Architecture) -> float | Score:
        if self.figures:
            number, level = self.benchmark.index(architecture), self._level(None)
            return Score(level.fitness[number], {name: level.figures[name][number] for name in self.figures})
        if architecture.space == self.space.name and (found := self._fitness.get(architecture.choices)) is not None:
            return found
        return self._fitness[self.benchmark.choices[self.benchmark.index(architecture)]]

    def train(
        self,
        architecture: Architecture,
        *,
        fidelity: float | None = None,
        begin: CheckpointRef | None = None,
        keep: Path | None = None,
    ) -> Score:
        """What the table knows after so many epochs; with the simulated seconds, where it knows them.

        Seconds, energy and CO2 are those of the epochs that are new: a candidate that trains on pays the difference,
        although the published trainings, each with a schedule of its own, all began at the beginning.
        """
        number = self.benchmark.index(architecture)
        level = self._level(fidelity)
        figures = {name: values[number] for name, values in level.figures.items()}
        if begin is not None and begin.architecture == architecture:
            had = self._level(begin.fidelity).figures
            for name in figures.keys() & had.keys():
                if name.rpartition("_")[2] in SPENT and self.benchmark.lengths(name):
                    figures[name] -= had[name][number]
        return Score(level.fitness[number], figures)

    def check_fidelity(self, fidelity: float) -> None:
        """See `naslab.estimators.Trainable`."""
        self._level(fidelity)

    @property
    def fidelities(self) -> Sequence[int]:
        """Epochs that it can be asked for, the last those of its whole training; none where only that is known."""
        lengths = self.benchmark.lengths(self.metric)
        return lengths if self.epochs is None else tuple(length for length in lengths if length <= self.epochs)

    def _column(self, name: str, epochs: int | None) -> list[float]:
        """A metric of each architecture; after so many epochs, if it depends on them."""
        return self.benchmark.column(name, epochs=epochs).tolist()

    def _level(self, epochs: float | None) -> Level:
        """What is known after so many epochs; None: those of the table."""
        epochs = self.epochs if epochs is None else epochs
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
                fitness = self.benchmark.utility(self.metric, epochs=whole).tolist()
                names = {*self.figures, *({"seconds"} & set(self.benchmark.metrics))}
                figures = {name: self._column(name, whole) for name in sorted(names)}
            except SpecError as error:
                raise UnknownFidelity(f"a candidate was to be trained for {epochs} epochs, but {error}") from None
            self._levels[epochs] = Level(fitness, figures)
        return self._levels[epochs]

    def spec(self) -> dict[str, Any]:
        return {
            "estimator": self.name,
            "benchmark": self.benchmark.spec(),
            "metric": self.metric,
            "epochs": self.epochs,
            **({"figures": list(self.figures)} if self.figures else {}),
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

    def with_figure(self, name: str) -> Table:
        """The same, with another metric among the figures."""
        if name in self.figures:
            return self
        return Table(self.benchmark, self.metric, epochs=self.epochs, figures=(*self.figures, name))
