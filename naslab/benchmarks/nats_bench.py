"""The official files of NATS-Bench, topology search space: all measurements of NAS-Bench-201 (Dong et al. 2021,
https://arxiv.org/abs/2009.00437).

They are a folder, `NATS-tss-v1_0-3ffb9-simple`, with `000000.pickle.pbz2`, `000001.pickle.pbz2`, ... one per
cell: pickles, which `pickled.py` reads as data. All files in the folder are read, about twenty per second; some of the
15,625 may be missing. Values are means over the seeds: on CIFAR-10 the test accuracy of networks trained on all
training images, and the validation accuracy of networks trained on half of them; on the other two, test and validation
accuracy of the same networks.
"""

from __future__ import annotations

import bz2
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from naslab import files
from naslab.architecture import Architecture
from naslab.benchmarks import pickled
from naslab.benchmarks.benchmark import Benchmark, Column, read_only
from naslab.benchmarks.curves import Curve, to_the_end
from naslab.errors import DataError, SpecError, among, unknown
from naslab.immutable import FrozenDict, Record
from naslab.paths import is_folder, path_of
from naslab.spaces.nasbench201 import NASBench201
from naslab.spaces.subset import Subset

DATA_SETS = {
    "cifar10": ("cifar10", "ori-test", "cifar10-valid"),
    "cifar100": ("cifar100", "x-test", "cifar100"),
    "imagenet16-120": ("ImageNet16-120", "x-test", "ImageNet16-120"),
}
"""Data set -> run with the test accuracies, split of the test data, and run with the validation accuracies."""
EPOCHS = (200, 12)
MAX_BYTES = 4 * 2**20
"""Largest size of a decompressed file, in bytes; the official ones have a third of a megabyte."""
ROOM = 64 * 2**20
"""Memory limit for the contents of one file, in bytes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NATSBenchRecord(Record):
    """Values of one cell."""

    index: int
    """Row of the cell in the table."""
    number: int
    """Number of the cell in the benchmark, from 0 to 15,624."""
    architecture: Architecture
    epochs: int
    test_accuracy: float
    """Percent, mean over the seeds, like the other accuracies."""
    valid_accuracy: float
    train_accuracy: float
    seconds: float
    """Measured training time of `epochs` epochs."""
    parameters: int
    """Parameters of the network for this data set."""
    flops: int


class NATSBench(Benchmark):
    """The cells whose official files lie in a folder.

    Args:
        path: path of the folder.
        data_set: "cifar10", "cifar100" or "imagenet16-120".
    """

    name: ClassVar[str] = "nats_bench"
    objective: ClassVar[str] = "test_accuracy"
    units = FrozenDict({"test_accuracy": "per cent", "valid_accuracy": "per cent", "train_accuracy": "per cent"})

    def __init__(self, path: str | Path, data_set: str = "cifar10") -> None:
        if not isinstance(data_set, str) or data_set.lower() not in DATA_SETS:
            raise SpecError(f"NATS-Bench: {unknown('data set', data_set, DATA_SETS)}")
        self.path, self.data_set = path_of("the folder of NATS-Bench", path), data_set.lower()
        if not is_folder(self.path):
            raise DataError(
                f"{self.path} is no folder; expected the unpacked NATS-tss-v1_0-3ffb9-simple, with files such as "
                "000000.pickle.pbz2"
            )
        try:
            names = sorted(self.path.iterdir())
        except OSError as error:
            raise DataError(f"{self.path} cannot be looked at: {error.strerror or error}") from error
        found = {int(file.name[:6]): file for file in names if re.fullmatch(r"\d{6}\.pickle\.pbz2", file.name)}
        if not found:
            raise DataError(f"{self.path} has no files such as 000000.pickle.pbz2, one for each cell")
        self.numbers = tuple(found)
        digest, cells = hashlib.sha256(), []
        self._curves: list[tuple[Curve, ...]] = []
        figures: dict[tuple[str, int], list[float]] = {}
        for number, file in found.items():
            try:
                data = files.read(file, MAX_BYTES, links=True)
            except OSError as error:
                raise DataError(f"{file} cannot be read: {error.strerror}") from None
            digest.update(data)
            cell, curves, costs = _cell(data, number, file)
            cells.append(cell.choices)
            self._curves.append(curves)
            for key, value in self._figures(curves, costs, file).items():
                figures.setdefault(key, []).append(value)
        self._digest = digest.hexdigest()
        self.space = Subset(NASBench201.paper(), tuple(cells))
        columns: dict[str, Column] = {}
        for metric in dict.fromkeys(metric for metric, _ in figures):
            by_epochs = {epochs: read_only(figures[metric, epochs]) for epochs in EPOCHS if (metric, epochs) in figures}
            columns[metric] = by_epochs or read_only(figures[metric, 0])
        super().__init__(self.space.rows, columns, epochs=200)

    def _figures(
        self, curves: Sequence[Curve], costs: Mapping[str, tuple[float, float]], file: Path
    ) -> dict[tuple[str, int], float]:
        """Returns (metric, epochs) -> mean over the seeds; epochs is 0 for metrics that do not depend on it."""
        run, test, held_out = DATA_SETS[self.data_set]
        found: dict[tuple[str, int], float] = {}
        for epochs in EPOCHS:
            for metric, of, split in (
                ("test_accuracy", run, test),
                ("valid_accuracy", held_out, "x-valid"),
                ("train_accuracy", run, "train"),
            ):
                last = [
                    c.accuracy[split][-1] for c in curves if (c.run, c.epochs) == (of, epochs) and split in c.accuracy
                ]
                if not last or not np.isfinite(last).all():
                    raise DataError(f"{file} lacks the {split} accuracy of {of} after {epochs} epochs")
                found[metric, epochs] = float(np.mean(last))
            found["seconds", epochs] = float(np.mean([c.seconds for c in curves if (c.run, c.epochs) == (run, epochs)]))
        found["parameters", 0], found["flops", 0] = costs[run]
        return found

    def curves(self, architecture: Architecture | int, *, epochs: int = 200) -> tuple[Curve, ...]:
        """Returns the trainings of a cell on this data set for 200 or 12 epochs, one per seed (on CIFAR-10 two)."""
        if not among(epochs, EPOCHS):
            raise SpecError(f"{self.name}: cells were trained for 200 or for 12 epochs, not for {epochs!r}")
        run, _, held_out = DATA_SETS[self.data_set]
        return tuple(
            c for c in self._curves[self.index(architecture)] if c.run in (run, held_out) and c.epochs == epochs
        )

    def query(self, architecture: Architecture | int, *, epochs: int = 200) -> NATSBenchRecord:
        """Returns the values of a cell after 200 or 12 epochs of training."""
        index = self.index(architecture)
        metrics = ("test_accuracy", "valid_accuracy", "train_accuracy", "seconds")
        return NATSBenchRecord(
            index=index,
            number=self.numbers[index],
            architecture=self.at(index),
            epochs=epochs,
            **{metric: float(self.column(metric, epochs=epochs)[index]) for metric in metrics},
            parameters=int(self.column("parameters")[index]),
            flops=int(self.column("flops")[index]),
        )

    def spec(self) -> dict[str, Any]:
        return {"benchmark": self.name, "path": str(self.path), "data_set": self.data_set}

    @property
    def sources(self) -> Sequence[str]:
        return [self._digest]

    def fingerprint(self) -> str:
        """See `Benchmark.fingerprint`. It does not depend on the path of the folder."""
        return hashlib.sha256(f"{self.name} {self.data_set} {self._digest}".encode()).hexdigest()


def unpacked(data: bytes, what: str, most: int = MAX_BYTES) -> bytes:
    """Returns the decompressed bz2 data. Raises `DataError` if they have more than `most` bytes."""
    machine = bz2.BZ2Decompressor()
    try:
        plain = machine.decompress(data, max_length=most + 1)
    except OSError:
        raise DataError(f"{what} is not packed with bz2") from None
    if len(plain) > most:
        raise DataError(f"{what} unpacks to more than {most} bytes; it is not one of the official files")
    if not machine.eof:
        raise DataError(f"{what} is cut short")
    return plain


def _cell(
    data: bytes, number: int, file: Path
) -> tuple[Architecture, tuple[Curve, ...], dict[str, tuple[float, float]]]:
    """Returns the cell, its trainings, and the parameters and multiply-adds for each run."""
    content = pickled.read(unpacked(data, str(file)), str(file), ROOM)
    curves, costs, written = [], {}, ""
    try:
        for epochs in EPOCHS:
            part = content[str(epochs)]
            if part["arch_index"] != number:
                raise DataError(f"{file} holds the cell {int(part['arch_index'])}; was it renamed?")
            written = part["arch_str"]
            for (run, seed), result in part["all_results"].items():
                if not isinstance(run, str):
                    raise TypeError
                curves.append(_curve(run, int(seed), epochs, result))
                costs[run] = round(float(result["params"]) * 1e6), round(float(result["flop"]) * 1e6)
        cell = NASBench201.paper().parse(written)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{file} is not one of the official files of NATS-Bench (topology search space)") from None
    return cell, tuple(curves), costs


def _curve(run: str, seed: int, epochs: int, result: Mapping[str, Any]) -> Curve:
    if int(result["epochs"]) != epochs:
        raise ValueError(epochs)
    figures = {"accuracy": {"train": result["train_acc1es"]}, "loss": {"train": result["train_losses"]}}
    for figure, name in (("accuracy", "eval_acc1es"), ("loss", "eval_losses")):
        for key, value in result[name].items():
            split, _, epoch = key.partition("@")
            figures[figure].setdefault(split, {})[int(epoch)] = float(value)
    return Curve(
        run=run,
        seed=seed,
        epochs=epochs,
        seconds=float(sum(result["train_times"].values())),
        **{
            figure: FrozenDict({split: to_the_end(values, epochs) for split, values in splits.items()})
            for figure, splits in figures.items()
        },
    )
