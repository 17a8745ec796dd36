"""Base class of benchmarks: a search space whose architectures have all been trained, and a column per metric."""

from __future__ import annotations

import hashlib
import json
import numbers
import re
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from naslab.architecture import Architecture
from naslab.directions import Direction, direction_of
from naslab.errors import SpecError, among, listed, plain, unknown, whole
from naslab.immutable import FrozenDict
from naslab.quantities import Objective
from naslab.spaces.space import Space

Column = np.ndarray | Mapping[int, np.ndarray]
"""[N] float64, or a mapping from epochs to [N] float64 for a metric that depends on the length of the training."""


class Benchmark(ABC):
    """A table of architectures, numbered from 0, with a column of values for each metric.

    Columns are [N], in the order of the numbers. Methods accept an architecture or its number. A table that holds only
    a part of a space has a `naslab.spaces.Subset` as its space, so that searches propose no other architectures.
    """

    name: ClassVar[str]
    """Key in `naslab.benchmarks.BENCHMARKS`."""
    objective: ClassVar[str]
    """Default metric."""
    directions: Mapping[str, Direction] = FrozenDict({})
    """Metric -> "min" or "max", if `naslab.directions` cannot infer it from the name. A key may also be the part of the
    name before or after a dot or slash."""
    units: Mapping[str, str] = FrozenDict({})
    """Metric -> unit, for instance "s"; keys may be parts of names, as in `directions`."""
    space: Space

    def __init__(
        self,
        architectures: Sequence[tuple[Any, ...]],
        columns: Mapping[str, Column],
        epochs: int,
        keys: Mapping[Hashable, int] | None = None,
    ) -> None:
        """
        Args:
            architectures: the choices of each, in the order of the columns.
            columns: metric -> its column.
            epochs: default length of training.
            keys: canonical key -> number, for spaces in which several encodings describe one architecture.
        """
        self.choices = architectures
        self._keys = keys
        self._numbers = {choices: number for number, choices in enumerate(architectures)}
        self._columns = columns
        self._epochs = epochs

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """Returns JSON from which `naslab.benchmarks.from_spec` rebuilds this benchmark."""

    @property
    @abstractmethod
    def sources(self) -> Sequence[str]:
        """SHA-256 of each file that the columns were read from."""

    @abstractmethod
    def query(self, architecture: Architecture | int) -> Any:
        """Returns all values of one architecture, as a frozen record."""

    def fingerprint(self) -> str:
        """Returns a hash in hexadecimal, equal for tables with the same values."""
        return hashlib.sha256(json.dumps([self.spec(), *self.sources], sort_keys=True).encode()).hexdigest()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self):,} architectures; {', '.join(self.metrics)}>"

    def __len__(self) -> int:
        return len(self.choices)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that `query_many`, `best`, `rank` and `regret` accept."""
        return tuple(self._columns)

    def index(self, architecture: Architecture | int) -> int:
        """Returns the number of an architecture. Raises `SpecError` if the benchmark does not contain it."""
        if isinstance(architecture, Architecture):
            if architecture.space == self.space.name:
                found = self._numbers.get(architecture.choices)
                # Another encoding of a known architecture: its canonical key is costly, so the number is cached.
                if found is None and self._keys and (found := self._keys.get(self.key(architecture))) is not None:
                    self._numbers[architecture.choices] = found
                if found is not None:
                    return found
            self.space.check(architecture)
            raise SpecError(f"{self.name} does not hold {list(architecture.choices)}: it is in no row of the table")
        try:
            number = whole("the number of an architecture", architecture, None)
        except SpecError:
            raise SpecError(
                f"expected an Architecture or its number, got {architecture!r:.200}; read a text with "
                "benchmark.space.parse(text)"
            ) from None
        if not 0 <= number < len(self):
            raise SpecError(f"{self.name} is numbered from 0 to {len(self) - 1}; there is no {number}")
        return number

    def key(self, architecture: Architecture) -> Hashable:
        """Returns the canonical key, equal for all encodings of an architecture."""
        return architecture.choices

    def at(self, index: int) -> Architecture:
        """Returns the architecture with this number."""
        return Architecture(self.space.name, self.choices[self.index(index)])

    def column(self, metric: str | None = None, *, epochs: int | None = None) -> np.ndarray:
        """Returns the metric of every architecture, in the order of their numbers: [N], read-only."""
        metric = self.objective if metric is None else metric
        if not among(metric, self._columns):
            raise SpecError(f"{self.name}: {unknown('metric', metric, self.metrics)}")
        column = self._columns[metric]
        if isinstance(column, np.ndarray):
            return column
        wanted = plain(epochs) if epochs is not None else self._epochs
        if isinstance(wanted, bool) or not isinstance(wanted, numbers.Real | None):
            raise SpecError(f"epochs is a number, not {wanted!r:.200}")
        if wanted not in column:
            known = ", ".join(map(str, column))
            raise SpecError(f"{self.name}: {metric!r} is known after {known} epochs, not after {wanted!r}")
        return column[wanted]  # type: ignore[index]

    def lengths(self, metric: str | None = None) -> tuple[int, ...]:
        """Returns the numbers of epochs for which a metric is tabulated; empty if it does not depend on them."""
        self.column(metric)
        column = self._columns[metric or self.objective]
        return () if isinstance(column, np.ndarray) else tuple(sorted(column))

    def query_many(
        self,
        architectures: Iterable[Architecture | int] | np.ndarray,
        *,
        metric: str | None = None,
        epochs: int | None = None,
    ) -> np.ndarray:
        """Returns [n] float64: the metric of n architectures or numbers (fastest for an integer array)."""
        column = self.column(metric, epochs=epochs)
        numbers = architectures
        if callable(getattr(architectures, "__array__", None)):  # arrays of NumPy, tensors of torch, series of pandas
            numbers = np.asarray(architectures)
        if isinstance(numbers, np.ndarray) and numbers.dtype != object:
            if numbers.dtype.kind not in "iu":
                raise SpecError(f"numbers of architectures are integers, not {numbers.dtype}")
            if numbers.size and not 0 <= numbers.min() <= numbers.max() < len(self):
                raise SpecError(f"{self.name} is numbered from 0 to {len(self) - 1}; not all of these numbers are")
        else:
            if isinstance(numbers, Architecture) or not listed(numbers):
                raise SpecError(
                    f"expected a list of architectures, or of their numbers, not {numbers!r:.200}; one alone is "
                    "asked for by query"
                )
            numbers = np.array([self.index(architecture) for architecture in numbers], dtype=np.int64)
        return column[numbers]

    def best(self, metric: str | None = None, *, epochs: int | None = None) -> Any:
        """Returns the record of the best architecture; among equals, the one with the smallest number."""
        return self.query(int(self.utility(metric, epochs=epochs).argmax()))

    def rank(self, architecture: Architecture | int, metric: str | None = None, *, epochs: int | None = None) -> int:
        """Returns 1 + the number of strictly better architectures, so 1 for the best."""
        better = self.utility(metric, epochs=epochs)
        return 1 + int((better > better[self.index(architecture)]).sum())

    def regret(
        self, architecture: Architecture | int, metric: str | None = None, *, epochs: int | None = None
    ) -> float:
        """Returns the regret: the difference to the best value of the table, at least 0, in the metric's unit."""
        better = self.utility(metric, epochs=epochs)
        return float(better.max() - better[self.index(architecture)])

    def direction(self, metric: str | None = None) -> Direction:
        """Returns "max" if higher values of the metric are better, else "min". Raises `SpecError` if it is unknown."""
        name = self.objective if metric is None else metric
        if not isinstance(name, str):
            raise SpecError(f"{self.name}: {unknown('metric', name, self.metrics)}")
        return direction_of(name, None if (said := _of(self.directions, name)) is None else {name: said})

    def objective_of(self, metric: str | None = None) -> Objective:
        """Returns the metric as an objective, with its direction and unit."""
        name = self.objective if metric is None else metric
        return Objective(name, self.direction(name), _of(self.units, name) or "")

    def utility(self, metric: str | None = None, *, epochs: int | None = None) -> np.ndarray:
        """Returns the column [N], negated if lower values are better, so that higher is always better."""
        column = self.column(metric, epochs=epochs)
        return -column if self.direction(metric) == "min" else column


def _of(said: Mapping[str, Any], metric: str) -> Any:
    """Returns the entry for a metric or for a part of its name, or None."""
    return next((said[part] for part in (metric, *re.split("[./]", metric)) if part in said), None)


def read_only(values: Iterable[Any]) -> np.ndarray:
    """Returns a read-only [N] float64 array: columns are shared between callers."""
    column = np.array(values, dtype=np.float64)
    column.setflags(write=False)
    return column
