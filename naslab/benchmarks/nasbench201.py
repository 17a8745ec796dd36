"""NAS-Bench-201 as a table: all 15,625 cells, trained on three data sets (Dong & Yang 2020,
https://arxiv.org/abs/2001.00326; numbers of NATS-Bench, Dong et al. 2021, https://arxiv.org/abs/2009.00437).

Accuracies are in percent, means over the benchmark's seeds, after 12 epochs (the low fidelity, with its own schedule)
and after 200. `valid` is the part of the training data that was held out on CIFAR-10, and half of the test data on the
other two, as published.

Parameters and multiply-adds are those of the network for the data set. Latencies were measured on images of 32 x 32,
and are not given on ImageNet16-120.

The seconds of a training are simulated: those that the benchmark measured on 500 cells are fitted by a constant and an
amount for each operation in the cell (least squares). On 500 further cells, not used for
the fit, the error is 1.31 % at the median, at most 3.9 % for 95 % of the cells, and at most 7.1 % for all. Twelve
epochs take 12/200 of the time.

`valid_seconds` are the cost of one validation accuracy for a search, as Dong & Yang count it: the time of the training
(on CIFAR-10 with half of the images) and of one validation. With this metric a race has the budget of their paper:

    race = Race(searchers, Table(table, "valid_accuracy", epochs=12), budget=12_000, cost="valid_seconds")
"""

from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np

import naslab.data
from naslab.architecture import Architecture, Option
from naslab.benchmarks.benchmark import Benchmark, Column, read_only
from naslab.benchmarks.curves import Curve, to_the_end
from naslab.errors import SpecError, among, unknown
from naslab.immutable import FrozenDict, Record
from naslab.spaces import nasbench201 as spaces

FILES = ("nasbench201.csv.gz", "nasbench201_latency.csv.gz", "nasbench201_seconds.csv.gz")
CURVES = "nasbench201_curves.json.gz"
DATA_SETS = {"cifar10": "c10", "cifar100": "c100", "imagenet16-120": "in16"}
"""Data set -> prefix of its columns in the file."""
IMAGES = {"cifar10": (10, 32), "cifar100": (100, 32), "imagenet16-120": (120, 16)}
"""Data set -> number of classes, and side of the images in pixels."""
CLASSIFIER = 65
"""Parameters of the classifier for each class (64 features and a bias); also its multiply-adds, as the benchmark counts
them."""
EPOCHS = (12, 200)
HELD_OUT = {"cifar10": (1 / 2, 1 / 2), "cifar100": (1, 1 / 10), "imagenet16-120": (1, 3_000 / 151_700)}
"""Data set -> number of training images, and of validation images, of the training with validation, both divided by the
number of training images of the training for the test accuracy."""
VALIDATION = 0.35
"""Time to classify an image divided by the time to train on it once: 0.35, 0.33 and 0.49 in the official files of cells
0, 11 and 284."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NASBench201Record(Record):
    """Values of one cell."""

    index: int
    """Number of the cell in the benchmark."""
    architecture: Architecture
    epochs: int
    """Length of the training: 200 or 12 epochs."""
    test_accuracy: float
    """Percent."""
    valid_accuracy: float
    """Percent."""
    train_accuracy: float | None
    """Percent; known for CIFAR-10 after 200 epochs only."""
    parameters: int
    """Parameters of the network for this data set, with 16 channels and 5 cells per stage."""
    flops: int
    """Multiply-adds of the same network for one image of the data set."""
    seconds: float
    """Simulated training time of `epochs` epochs."""
    latency: Mapping[str, float]
    """Device -> milliseconds for an image of 32 x 32; none is known on ImageNet16-120, whose images are of 16 x 16."""


class NASBench201(Benchmark):
    """NAS-Bench-201 in memory.

    Args:
        data_set: "cifar10", "cifar100" or "imagenet16-120".
    """

    name: ClassVar[str] = "nasbench201"
    objective: ClassVar[str] = "test_accuracy"
    units = FrozenDict(
        {
            "test_accuracy": "per cent",
            "valid_accuracy": "per cent",
            "train_accuracy": "per cent",
            "seconds": "s",
            "valid_seconds": "s",
            "latency": "ms",
        }
    )

    def __init__(self, data_set: str = "cifar10") -> None:
        if not isinstance(data_set, str) or data_set.lower() not in DATA_SETS:
            raise SpecError(f"NAS-Bench-201: {unknown('data set', data_set, DATA_SETS)}")
        self.data_set = data_set.lower()
        self.space = spaces.NASBench201.paper()
        raw, short = _raw(), DATA_SETS[self.data_set]
        columns: dict[str, Column] = {
            metric: {epochs: raw[f"{short}_{split}_{epochs}"] for epochs in reversed(EPOCHS)}
            for metric, split in (("test_accuracy", "test"), ("valid_accuracy", "valid"))
        }
        if self.data_set == "cifar10":
            columns["train_accuracy"] = {200: raw["c10_train_200"]}
        whole = _seconds(self.data_set)
        columns["seconds"] = {epochs: read_only(whole * epochs / 200) for epochs in reversed(EPOCHS)}
        trained, validated = HELD_OUT[self.data_set]
        columns["valid_seconds"] = {
            epochs: read_only(whole / 200 * (epochs * trained + VALIDATION * validated)) for epochs in reversed(EPOCHS)
        }
        columns |= dict(zip(("parameters", "flops"), _costs(self.data_set), strict=True))
        self._latency = _latency() if IMAGES[self.data_set][1] == 32 else {}
        columns |= {f"latency/{device}": milliseconds for device, milliseconds in self._latency.items()}
        super().__init__(_choices(), columns, epochs=200)

    @property
    def devices(self) -> tuple[str, ...]:
        """Devices with known latency (metrics `"latency/<device>"`), for images of 32 x 32 as in CIFAR."""
        return tuple(self._latency)

    def column(self, metric: str | None = None, *, epochs: int | None = None) -> np.ndarray:
        """See `Benchmark.column`."""
        if isinstance(metric, str) and metric not in self._columns and metric.partition("/")[2] in _latency():
            raise SpecError(
                f"{self.name}: {metric!r} was measured on images of 32 x 32, and those of {self.data_set} are smaller; "
                "nl.benchmarks.HWNASBench(path, data_set) has latencies on each of the data sets"
            )
        return super().column(metric, epochs=epochs)

    def query(self, architecture: Architecture | int, *, epochs: int = 200) -> NASBench201Record:
        """Returns the values of a cell after 200 or 12 epochs of training."""
        index = self.index(architecture)
        accuracy = {
            metric: float(self.column(metric, epochs=epochs)[index]) for metric in ("test_accuracy", "valid_accuracy")
        }
        trained = self._columns.get("train_accuracy", {})
        return NASBench201Record(
            index=index,
            architecture=self.at(index),
            epochs=epochs,
            **accuracy,
            train_accuracy=float(trained[epochs][index]) if epochs in trained else None,
            seconds=float(self.column("seconds", epochs=epochs)[index]),
            parameters=int(self.column("parameters")[index]),
            flops=int(self.column("flops")[index]),
            latency=FrozenDict({device: float(column[index]) for device, column in self._latency.items()}),
        )

    def curves(self, architecture: Architecture | int, *, epochs: int = 200) -> tuple[Curve, ...]:
        """Returns the trainings of a cell on this data set for 200 or 12 epochs, one per seed (on CIFAR-10 two: with
        all training images, and with half of them held out).

        Curves are bundled for cells 0, 11 and 284; `NATSBench` reads those of all cells from the official files.
        """
        if not among(epochs, EPOCHS):
            raise SpecError(f"{self.name}: cells were trained for 200 or for 12 epochs, not for {epochs!r}")
        index = self.index(architecture)
        if index not in _curves():
            held = ", ".join(map(str, _curves()))
            raise SpecError(
                f"{self.name}: the curves of cells {held} are bundled, not those of {index}; "
                "nl.benchmarks.NATSBench(path) has all, from the official files"
            )
        runs = (self.data_set, f"{self.data_set}-valid")
        return tuple(curve for curve in _curves()[index] if curve.run.lower() in runs and curve.epochs == epochs)

    def spec(self) -> dict[str, Any]:
        return {"benchmark": self.name, "data_set": self.data_set}

    @property
    def sources(self) -> Sequence[str]:
        return [naslab.data.sidecar(file)["sha256"] for file in FILES]


@cache
def _raw() -> dict[str, np.ndarray]:
    """Returns column of the file -> [15625]."""
    return _columns_of(FILES[0], without={"index", "arch_str"})


@cache
def _costs(data_set: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns parameters [15625], and multiply-adds [15625] for one image of the data set.

    The file has the values of the network for CIFAR-10. For another data set the classifier differs and, on images of
    half the side, every layer before it is computed at a quarter of the positions.
    """
    raw, (classes, side) = _raw(), IMAGES[data_set]
    body = raw["flops"] - 10 * CLASSIFIER
    parameters = raw["params"] + CLASSIFIER * (classes - 10)
    return read_only(parameters), read_only(body * (side / 32) ** 2 + CLASSIFIER * classes)


@cache
def _latency() -> dict[str, np.ndarray]:
    """Returns device -> latency [15625] in milliseconds."""
    return _columns_of(FILES[1], without={"index"})


@cache
def _seconds(data_set: str) -> np.ndarray:
    """Returns simulated seconds of 200 epochs, [15625]: least squares on the number of each operation in a cell."""
    measured = _columns_of(FILES[2], without=set())
    cells = _choices()
    # [15625, 5]: a constant, and the counts of the operations. All five counts sum to 6 edges, so one is left out.
    counts = np.array([[1, *map(cell.count, spaces.OPERATIONS[1:])] for cell in cells], dtype=np.float64)
    known = measured["index"].astype(np.int64)
    amounts = np.linalg.lstsq(counts[known], measured[data_set], rcond=None)[0]
    return counts @ amounts


@cache
def _curves() -> dict[int, tuple[Curve, ...]]:
    """Returns cell -> trainings on all data sets, for the bundled cells."""
    content = json.loads(gzip.decompress(naslab.data.read(CURVES)))
    return {
        int(index): tuple(_curve(name, figures) for name, figures in cell["runs"].items())
        for index, cell in content.items()
    }


def _curve(name: str, figures: Mapping[str, Any]) -> Curve:
    run, seed, trained = name.split("/")
    epochs = int(trained)

    def splits(figure: str) -> Mapping[str, np.ndarray]:
        """Returns split -> [epochs]; shorter lists are aligned to the last epoch."""
        lists = {"train": figures[f"train_{figure}"], **figures[f"eval_{figure}"]}
        ends = {split: dict(enumerate(values, epochs - len(values))) for split, values in lists.items()}
        return FrozenDict({split: to_the_end(values, epochs) for split, values in ends.items()})

    return Curve(
        run=run,
        seed=int(seed),
        epochs=epochs,
        seconds=figures["train_time_total_s"],
        accuracy=splits("acc"),
        loss=splits("loss"),
    )


def _columns_of(file: str, without: set[str]) -> dict[str, np.ndarray]:
    text = gzip.decompress(naslab.data.read(file)).decode("ascii")
    header = text[: text.index("\n")].split(",")
    wanted = [place for place, name in enumerate(header) if name not in without]
    values = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, usecols=wanted)
    return {header[place]: read_only(values[:, column]) for column, place in enumerate(wanted)}


@cache
def _choices() -> tuple[tuple[Option, ...], ...]:
    """Returns the operations of every cell, in the order of the benchmark. The names are interned strings, shared with
    the space, so that comparing tuples of them compares only identities."""
    return tuple(
        tuple(sys.intern(entry.partition("~")[0]) for entry in text.replace("|+|", "|").strip("|").split("|"))
        for text in spaces.official_order()
    )
