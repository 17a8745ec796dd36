"""The official files of NAS-Bench-101: 423,624 cells, each trained three times on CIFAR-10 (Ying et al. 2019,
https://arxiv.org/abs/1902.09635).

`nasbench_only108.tfrecord` has the trainings of 108 epochs, `nasbench_full.tfrecord` also those of 4, 12 and 36. A
record is JSON: the canonical key of a cell, how many epochs, its matrix row by row, its operations, and a message in
base64 with the measurements. Values are means over the trainings, accuracies in percent. Reading takes a minute for
the smaller file, and several for the larger. A file may contain only some of the cells: a search is then restricted to
those.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from naslab.architecture import Architecture, Prefix
from naslab.benchmarks import tfrecord
from naslab.benchmarks.benchmark import Benchmark, Column, read_only
from naslab.errors import DataError, SpecError
from naslab.immutable import FrozenDict, Record
from naslab.paths import path_of
from naslab.spaces import nasbench101 as spaces
from naslab.spaces.subset import Subset

CELLS = 423_624
METRICS = ("seconds", "train_accuracy", "valid_accuracy", "test_accuracy")
"""Metrics in the fields 2 to 5 of an evaluation message."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NASBench101Record(Record):
    """Values of one cell."""

    index: int
    """Number of the cell in the file."""
    architecture: Architecture
    epochs: int
    test_accuracy: float
    """Percent, mean over the trainings, like the other accuracies."""
    valid_accuracy: float
    train_accuracy: float
    seconds: float
    """Training time of `epochs` epochs."""
    parameters: int


class Training(NamedTuple):
    """Contents of one record."""

    key: str
    epochs: int
    cell: tuple[list[list[int]], list[str]]
    """Adjacency matrix and operations."""
    figures: tuple[float, ...]
    """Value of each of METRICS at the end of the training."""
    parameters: int


class NASBench101(Benchmark):
    """NAS-Bench-101 from one of its official files.

    Args:
        path: path of nasbench_only108.tfrecord or nasbench_full.tfrecord.
    """

    name: ClassVar[str] = "nasbench101"
    objective: ClassVar[str] = "test_accuracy"
    units = FrozenDict(
        {"test_accuracy": "per cent", "valid_accuracy": "per cent", "train_accuracy": "per cent", "seconds": "s"}
    )

    def __init__(self, path: str | Path) -> None:
        self.path = path_of("a file of NAS-Bench-101", path)
        self._whole = spaces.NASBench101.paper()
        rows: dict[Hashable, Prefix] = {}
        parameters: list[int] = []
        figures: dict[Hashable, dict[int, list[tuple[float, ...]]]] = {}
        digest = hashlib.sha256()
        for number, record in enumerate(tfrecord.records(self.path)):
            digest.update(record)
            training = _training(record, f"{self.path}, record {number}")
            if training.key not in rows:
                rows[training.key] = self._choices(training, number)
                parameters.append(training.parameters)
            figures.setdefault(training.key, {}).setdefault(training.epochs, []).append(training.figures)
        if not rows:
            raise DataError(f"{self.path} holds no records")
        self._digest = digest.hexdigest()
        known = sorted({epochs for trainings in figures.values() for epochs in trainings}, reverse=True)
        for key, trainings in figures.items():
            if missing := [epochs for epochs in known if epochs not in trainings]:
                raise DataError(f"{self.path}: the cell {key} has no training of {missing[0]} epochs, others have")
        means = {
            epochs: np.array([np.mean(trainings[epochs], axis=0) for trainings in figures.values()]).T
            for epochs in known
        }
        columns: dict[str, Column] = {
            metric: {epochs: read_only(means[epochs][place]) for epochs in known}
            for place, metric in enumerate(METRICS)
        }
        columns["parameters"] = read_only(parameters)
        held = tuple(rows.values())
        self.space = self._whole if len(held) == CELLS else Subset(self._whole, held)
        super().__init__(held, columns, epochs=known[0], keys={key: number for number, key in enumerate(rows)})

    def _choices(self, training: Training, number: int) -> Prefix:
        """Returns the choices of a cell, after checking that it matches the canonical key of its record."""
        try:
            architecture = self._whole.from_cell(*training.cell)
        except SpecError as error:
            raise DataError(f"{self.path}, record {number}: {error}") from None
        if self._whole.canonical(architecture) != training.key:
            raise DataError(f"{self.path}, record {number}: the key {training.key} is not that of its cell")
        return architecture.choices

    def key(self, architecture: Architecture) -> str:
        """Returns the canonical key of the cell."""
        return self._whole.canonical(architecture)

    def query(self, architecture: Architecture | int, *, epochs: int | None = None) -> NASBench101Record:
        """Returns the values of a cell after `epochs` epochs of training; by default the longest training."""
        index = self.index(architecture)
        return NASBench101Record(
            index=index,
            architecture=self.at(index),
            epochs=self._epochs if epochs is None else epochs,
            **{metric: float(self.column(metric, epochs=epochs)[index]) for metric in METRICS},
            parameters=int(self.column("parameters")[index]),
        )

    def spec(self) -> dict[str, Any]:
        return {"benchmark": self.name, "path": str(self.path)}

    @property
    def sources(self) -> Sequence[str]:
        return [self._digest]

    def fingerprint(self) -> str:
        """See `Benchmark.fingerprint`. It does not depend on the path of the file."""
        return hashlib.sha256(f"{self.name} {self._digest}".encode()).hexdigest()


def _training(record: bytes, where: str) -> Training:
    try:
        key, epochs, adjacency, operations, packed = json.loads(record)
        side = math.isqrt(len(adjacency))
        matrix = [[int(edge) for edge in adjacency[row * side : (row + 1) * side]] for row in range(side)]
        evaluations, parameters = [], 0
        for number, value in tfrecord.fields(base64.b64decode(packed, validate=True)):
            if number == 1 and isinstance(value, bytes):
                evaluations.append(dict(tfrecord.fields(value)))
            elif number == 2:
                parameters = int(value)
        last = evaluations[-1]
        seconds, *accuracies = (float(last[number]) for number in range(2, 2 + len(METRICS)))
        if not isinstance(key, str) or type(epochs) is not int or len(adjacency) != side * side or parameters < 1:
            raise ValueError
        if not all(0 <= accuracy <= 1 for accuracy in accuracies) or not 0 <= seconds < math.inf:
            raise ValueError
        names = operations.split(",")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        raise DataError(f"{where} is not one of NAS-Bench-101: [key, epochs, matrix, operations, figures]") from None
    figures = (seconds, *(100 * accuracy for accuracy in accuracies))
    return Training(key, epochs, (matrix, names), figures, parameters)
