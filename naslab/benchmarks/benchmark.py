"""What every benchmark is: a space whose architectures have all been trained, and columns of what came of it."""

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
"""[N] float64, or number of epochs -> [N] float64 where a figure depends on how long the training was."""


class Benchmark(ABC):
    """All architectures of a space, numbered from 0, with what is known of each.

    Columns are [N], in the order of the numbers. Where an architecture is asked for, its number does as well. A table
    that holds a part of a large space has `naslab.spaces.Subset` as its space, so that a search proposes nothing else.
    """

    name: ClassVar[str]
    """Key in `naslab.benchmarks.BENCHMARKS`."""
    objective: ClassVar[str]
    """The metric that is meant when none is named."""
    directions: Mapping[str, Direction] = FrozenDict({})
    """Metric -> "min" or "max", for those whose names do not say it (`naslab.directions`); a part of the name, up to a
    dot or a slash or behind one, does as well."""
    units: Mapping[str, str] = FrozenDict({})
    """Metric -> its unit, for instance "s"; a part of the name does as well, as for `directions`."""
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
            epochs: how long the training was that is meant when none is named.
            keys: `key` of each architecture -> its number, where one can be written in several ways.
        """
        self.choices = architectures
        self._keys = keys
        self._numbers = {choices: number for number, choices in enumerate(architectures)}
        self._columns = columns
        self._epochs = epochs

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """JSON from which `naslab.benchmarks.from_spec` makes this benchmark again."""

    @property
    @abstractmethod
    def sources(self) -> Sequence[str]:
        """SHA-256 of each file that the columns were read from."""

    @abstractmethod
    def query(self, architecture: Architecture | int) -> Any:
        """All that is known of one architecture, as a frozen record."""

    def fingerprint(self) -> str:
        """Hex, the same for the same figures."""
        return hashlib.sha256(json.dumps([self.spec(), *self.sources], sort_keys=True).encode()).hexdigest()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self):,} architectures; {', '.join(self.metrics)}>"

    def __len__(self) -> int:
        return len(self.choices)

    @property
    def metrics(self) -> tuple[str, ...]:
        """What `query_many`, `best`, `rank` and `regret` can be asked for."""
        return tuple(self._columns)

    def index(self, architecture: Architecture | int) -> int:
        """Its number. `SpecError` for what the benchmark does not hold."""
        if isinstance(architecture, Architecture):
            if architecture.space == self.space.name:
                found = self._numbers.get(architecture.choices)
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
        """The same for all ways to write an architecture."""
        return architecture.choices

    def at(self, index: int) -> Architecture:
        """The architecture of that number."""
        return Architecture(self.space.name, self.choices[self.index(index)])

    def column(self, metric: str | None = None, *, epochs: int | None = None) -> np.ndarray:
        """[N], read-only: the metric of every architecture, in the order of their numbers."""
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
        """Epochs of training after which a metric is known; none where it does not depend on them."""
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
        """[n] float64: the metric of each of n architectures, or of their numbers (an integer array is fastest)."""
        column = self.column(metric, epochs=epochs)
        numbers = architectures
        if callable(getattr(architectures, "__array__", None)):  # NumPy's, torch's, a column of pandas
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
        """The record of the best of all; of equals the one with the smallest number."""
        return self.query(int(self.utility(metric, epochs=epochs).argmax()))

    def rank(self, architecture: Architecture | int, metric: str | None = None, *, epochs: int | None = None) -> int:
        """How many are strictly better, and one more: 1 is the best of all."""
        better = self.utility(metric, epochs=epochs)
        return 1 + int((better > better[self.index(architecture)]).sum())

    def regret(
        self, architecture: Architecture | int, metric: str | None = None, *, epochs: int | None = None
    ) -> float:
        """How much is lost against the best of all, in the metric's unit; never negative."""
        better = self.utility(metric, epochs=epochs)
        return float(better.max() - better[self.index(architecture)])

    def direction(self, metric: str | None = None) -> Direction:
        """ "max" if much of the metric is wanted, "min" if little. `SpecError` if that is not known."""
        name = self.objective if metric is None else metric
        if not isinstance(name, str):
            raise SpecError(f"{self.name}: {unknown('metric', name, self.metrics)}")
        return direction_of(name, None if (said := _of(self.directions, name)) is None else {name: said})

    def objective_of(self, metric: str | None = None) -> Objective:
        """The metric as an objective, in its own direction and unit."""
        name = self.objective if metric is None else metric
        return Objective(name, self.direction(name), _of(self.units, name) or "")

    def utility(self, metric: str | None = None, *, epochs: int | None = None) -> np.ndarray:
        """[N]: the column, its sign turned where little is wanted, so that more is better."""
        column = self.column(metric, epochs=epochs)
        return -column if self.direction(metric) == "min" else column


def _of(said: Mapping[str, Any], metric: str) -> Any:
    """What is said of a metric, or of a part of its name; None if nothing is."""
    return next((said[part] for part in (metric, *re.split("[./]", metric)) if part in said), None)


def read_only(values: Iterable[Any]) -> np.ndarray:
    """[N] float64 that cannot be written to: columns are shared."""
    column = np.array(values, dtype=np.float64)
    column.setflags(write=False)
    return column
