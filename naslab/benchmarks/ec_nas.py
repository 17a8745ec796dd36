"""EC-NAS: energy and accuracy of training small cells of NAS-Bench-101 (Bakhtiarifard et al. 2024,
https://arxiv.org/abs/2210.06015).

All 2,532 cells of at most five vertices, trained on CIFAR-10 once, for four epochs; and all 91 of at most four
vertices, trained three times. Accuracies are in percent, energies in kWh as measured, after the whole training and at
its first measurement (after two epochs, or one); the `total` ones are of the whole run. Several encodings
describe one cell: cells are looked up by their canonical key.

Grams of CO2 are the energy times the carbon intensity of the electricity, which is an argument; the default is the
world average (475 g/kWh, IEA 2019).
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cache
from statistics import fmean
from typing import Any, ClassVar

import numpy as np

import naslab.data
from naslab.architecture import Architecture
from naslab.benchmarks.benchmark import Column, read_only
from naslab.benchmarks.bundled import Bundled
from naslab.errors import SpecError, real, whole
from naslab.immutable import FrozenDict, Record
from naslab.spaces import nasbench101 as spaces

FILE = "ec_nas.csv.gz"
HALFWAY = {5: 2, 4: 1}
"""Maximum number of vertices -> epoch of the first of the two measurements."""
EPOCHS = 4
WORLD = 475.0
"""Grams of CO2 per kWh of electricity, the world's average (IEA, Global Energy & CO2 Status Report 2019)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ECNASRecord(Record):
    """Values of one cell."""

    index: int
    """Number of the cell in the table."""
    architecture: Architecture
    epochs: int
    """Epochs of training after which the values were measured."""
    test_accuracy: float
    """Percent; mean over the trainings, like the other accuracies."""
    valid_accuracy: float
    train_accuracy: float
    seconds: float
    energy: float
    """Energy in kWh."""
    co2: float
    """Emissions in grams of CO2."""
    parameters: int


class ECNAS(Bundled):
    """EC-NAS in memory.

    Args:
        vertices: maximum number of vertices of the cells, 5 or 4.
        intensity: carbon intensity in grams of CO2 per kWh.
    """

    name: ClassVar[str] = "ec_nas"
    file: ClassVar[str] = FILE
    objective: ClassVar[str] = "test_accuracy"
    units = FrozenDict(
        {
            "test_accuracy": "per cent",
            "valid_accuracy": "per cent",
            "train_accuracy": "per cent",
            "seconds": "s",
            "total_seconds": "s",
            "energy": "kWh",
            "total_energy": "kWh",
            "co2": "g",
            "total_co2": "g",
        }
    )

    def __init__(self, vertices: int = 5, *, intensity: float = WORLD) -> None:
        try:
            self.vertices = whole("vertices", vertices, min(HALFWAY), max(HALFWAY))
        except SpecError:
            raise SpecError(
                f"EC-NAS has the cells of at most 5 or of at most 4 vertices, not {vertices!r:.200}"
            ) from None
        self.intensity = real("intensity", intensity)
        if not 0 <= self.intensity < float("inf"):
            raise SpecError(f"a carbon intensity is a finite number of grams per kWh from 0 up, not {intensity!r}")
        self.space = spaces.NASBench101(vertices=self.vertices)
        keys, choices, columns = _table(self.vertices)
        energy = columns["energy"]
        assert not isinstance(energy, np.ndarray)
        grams: dict[str, Column] = {
            "co2": {epochs: read_only(kwh * self.intensity) for epochs, kwh in energy.items()},
            "total_co2": read_only(np.asarray(columns["total_energy"]) * self.intensity),
        }
        super().__init__(choices, {**columns, **grams}, epochs=EPOCHS, keys=keys)

    def key(self, architecture: Architecture) -> str:
        """Returns the canonical key of the cell."""
        return spaces.NASBench101(vertices=self.vertices).canonical(architecture)

    def query(self, architecture: Architecture | int, *, epochs: int = EPOCHS) -> ECNASRecord:
        """Returns the values of a cell, after the whole training or at its first measurement."""
        index = self.index(architecture)
        metrics = ("test_accuracy", "valid_accuracy", "train_accuracy", "seconds", "energy", "co2")
        return ECNASRecord(
            index=index,
            architecture=self.at(index),
            epochs=epochs,
            **{metric: float(self.column(metric, epochs=epochs)[index]) for metric in metrics},
            parameters=int(self.column("parameters")[index]),
        )

    def spec(self) -> dict[str, Any]:
        return {"benchmark": self.name, "vertices": self.vertices, "intensity": self.intensity}


@cache
def _table(vertices: int) -> tuple[Mapping[Hashable, int], list[tuple[Any, ...]], Mapping[str, Column]]:
    """Returns canonical key -> number, the choices of each cell, and the columns, [2532] or [91]."""
    space = spaces.NASBench101(vertices=vertices)
    trainings: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(io.StringIO(gzip.decompress(naslab.data.read(FILE)).decode("ascii"))):
        if row["space"] == f"{vertices}V9E":
            trainings.setdefault(row["hash"], []).append(row)
    cells = [_cell(space, runs[0]).choices for runs in trainings.values()]

    def mean(name: str, unit: float = 1.0) -> np.ndarray:
        return read_only([unit * fmean(float(run[name]) for run in runs) for runs in trainings.values()])

    columns: dict[str, Column] = {}
    for metric, name, unit in (
        ("test_accuracy", "test", 100),
        ("valid_accuracy", "valid", 100),
        ("train_accuracy", "train", 100),
        ("seconds", "time_s", 1),
        ("energy", "energy_kWh", 1),
    ):
        columns[metric] = {epochs: mean(f"e{epochs}_{name}", unit) for epochs in (EPOCHS, HALFWAY[vertices])}
    columns |= {
        "total_seconds": mean("total_time_s"),
        "total_energy": mean("total_energy_kWh"),
        "parameters": mean("params"),
    }
    return {key: number for number, key in enumerate(trainings)}, cells, columns


def _cell(space: spaces.NASBench101, row: Mapping[str, str]) -> Architecture:
    labels = [int(label) for label in row["ops"].split()]
    matrix = np.array([int(edge) for edge in row["adjacency"]]).reshape(len(labels), len(labels))
    return space.from_cell(matrix, [spaces.INPUT, *(spaces.OPERATIONS[label] for label in labels[1:-1]), spaces.OUTPUT])
