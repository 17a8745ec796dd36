"""Tabular lookup: the fitness of an architecture is read from a benchmark.

The first tabular benchmark was NAS-Bench-101 (Ying et al. 2019, https://arxiv.org/abs/1902.09635).
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
from naslab.lazy import warn_of_old_name

SPENT = ("seconds", "energy", "co2")
"""Endings of the names of costs of a training: a candidate that continues one pays only the difference."""


class TableFidelity(NamedTuple):
    """Columns of a table after training for one number of epochs."""

    fitness: list[float]
    """Fitness by the index of the architecture in the table."""
    metrics: Mapping[str, list[float]]
    """Name of a metric -> its values, by the same index."""


class Table:
    """Estimator that reads the fitness from a column of a benchmark, negated if less of the metric is better.

    The test accuracy, the default of NAS-Bench-201, makes it an oracle, fit to compare searchers without noise. A
    realistic search uses `metric="valid_accuracy", epochs=12` and never sees the test data.

    Args:
        benchmark: for instance `naslab.benchmarks.NASBench201("cifar10")`.
        metric: objective, one of `benchmark.metrics`; by default `benchmark.objective`.
        epochs: length of the training, if the benchmark knows several.
        metrics: further metrics of the benchmark that each score contains, at the same length of training.
        figures: `metrics`, by their earlier name.
    """

    name = "table"
    keeps_weights = False

    def __init__(
        self,
        benchmark: Benchmark,
        metric: str | None = None,
        *,
        epochs: int | None = None,
        metrics: Sequence[str] = (),
        figures: Sequence[str] | None = None,
    ) -> None:
        if figures is not None:
            warn_of_old_name("Table(figures=...)", "Table(metrics=...)")
            metrics = figures
        if not isinstance(benchmark, Benchmark):
            raise SpecError(f"expected a benchmark, for instance nl.benchmarks.NASBench201(), got {benchmark!r:.200}")
        if metric is not None and not isinstance(metric, str):
            raise SpecError(unknown("metric", metric, benchmark.metrics))
        self.benchmark, self.metric, self.epochs = benchmark, metric or benchmark.objective, epochs
        self.space = benchmark.space
        self.metrics = tuple(metrics)
        self._fidelities: dict[float | None, TableFidelity] = {}
        self.objectives = (benchmark.objective_of(self.metric),)
        fitness = benchmark.utility(self.metric, epochs=epochs).tolist()
        self._fitness = dict(zip(benchmark.choices, fitness, strict=True))
        for name in self.metrics:
            self._column(name, epochs)  # raises if there is no such metric

    @property
    def figures(self) -> tuple[str, ...]:
        """The earlier name of `metrics`."""
        warn_of_old_name("Table.figures", "Table.metrics")
        return self.metrics

    def __call__(self, architecture: Architecture) -> float | Score:
        if self.metrics:
            number, columns = self.benchmark.index(architecture), self._at_fidelity(None)
            return Score(columns.fitness[number], {name: columns.metrics[name][number] for name in self.metrics})
        # Without further metrics no `Score` is made: searches of a hundred thousand candidates a minute call this.
        if architecture.space == self.space.name and (found := self._fitness.get(architecture.choices)) is not None:
            return found
        # An architecture that is written in another way, or of another space: `index` finds its row, or raises.
        return self._fitness[self.benchmark.choices[self.benchmark.index(architecture)]]

    def train(
        self,
        architecture: Architecture,
        *,
        fidelity: float | None = None,
        begin: CheckpointRef | None = None,
        keep: Path | None = None,
    ) -> Score:
        """Returns the score after `fidelity` epochs, with the simulated seconds if the benchmark has them.

        Seconds, energy and CO2 are those of the additional epochs: a candidate that continues a training pays the
        difference. This is an approximation, because each published training, with its own schedule of the learning
        rate, began with new weights.

        Raises:
            UnknownFidelity: the benchmark has no training of this length.
        """
        number = self.benchmark.index(architecture)
        columns = self._at_fidelity(fidelity)
        metrics = {name: values[number] for name, values in columns.metrics.items()}
        if begin is not None and begin.architecture == architecture:
            before = self._at_fidelity(begin.fidelity).metrics
            for name in metrics.keys() & before.keys():
                if name.rpartition("_")[2] in SPENT and self.benchmark.lengths(name):
                    metrics[name] -= before[name][number]
        return Score(columns.fitness[number], metrics)

    def check_fidelity(self, fidelity: float) -> None:
        """See `naslab.estimators.Trainable`."""
        self._at_fidelity(fidelity)

    @property
    def fidelities(self) -> Sequence[int]:
        """Numbers of epochs that are known, the last that of the whole training; empty if only this is known."""
        lengths = self.benchmark.lengths(self.metric)
        return lengths if self.epochs is None else tuple(length for length in lengths if length <= self.epochs)

    def _column(self, name: str, epochs: int | None) -> list[float]:
        """Returns a metric of all architectures; after `epochs` epochs, if it depends on them."""
        return self.benchmark.column(name, epochs=epochs).tolist()

    def _at_fidelity(self, epochs: float | None) -> TableFidelity:
        """Returns the columns after `epochs` epochs, None for those of the estimator; they are cached."""
        epochs = self.epochs if epochs is None else epochs
        if epochs not in self._fidelities:
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
                names = {*self.metrics, *({"seconds"} & set(self.benchmark.metrics))}
                metrics = {name: self._column(name, whole) for name in sorted(names)}
            except SpecError as error:
                raise UnknownFidelity(f"a candidate was to be trained for {epochs} epochs, but {error}") from None
            self._fidelities[epochs] = TableFidelity(fitness, metrics)
        return self._fidelities[epochs]

    def spec(self) -> dict[str, Any]:
        return {
            "estimator": self.name,
            "benchmark": self.benchmark.spec(),
            "metric": self.metric,
            "epochs": self.epochs,
            # "figures" is older than the name `metrics`; keys in run folders never change.
            **({"figures": list(self.metrics)} if self.metrics else {}),
        }

    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps([self.benchmark.fingerprint(), self.metric, self.epochs]).encode()).hexdigest()

    @classmethod
    def from_spec(cls, spec: dict[str, Any], task: Any = None) -> Table:
        return cls(
            benchmarks.from_spec(spec["benchmark"]),
            spec["metric"],
            epochs=spec["epochs"],
            metrics=spec.get("figures", ()),
        )

    def with_metric(self, name: str) -> Table:
        """Returns the estimator with a further metric in its scores."""
        if name in self.metrics:
            return self
        return Table(self.benchmark, self.metric, epochs=self.epochs, metrics=(*self.metrics, name))
