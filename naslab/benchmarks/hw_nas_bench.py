"""The official file of HW-NAS-Bench: latency and energy of the NAS-Bench-201 cells on six devices (Li et al. 2021,
https://openreview.net/forum?id=_0kaDkv3dVf).

`HW-NAS-Bench-v1_0.pickle` holds lists of 15,625 values for each data set, in the order of NAS-Bench-201: latencies in
milliseconds, energies in millijoules. The metric "raspi4_latency" of the file is "latency/raspi4" here. It is a pickle,
which `pickled.py` reads as data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from naslab import files
from naslab.architecture import Architecture
from naslab.benchmarks import pickled
from naslab.benchmarks.benchmark import Benchmark, read_only
from naslab.errors import DataError, SpecError, unknown
from naslab.immutable import FrozenDict, Record
from naslab.paths import path_of
from naslab.spaces.nasbench201 import NASBench201

DATA_SETS = {"cifar10": "cifar10", "cifar100": "cifar100", "imagenet16-120": "ImageNet16-120"}
"""Data set -> name in the file."""
MAX_BYTES = 256 * 2**20


@dataclass(frozen=True, kw_only=True, eq=False)
class HWNASBenchRecord(Record):
    """Costs of one cell."""

    index: int
    """Number of the cell in NAS-Bench-201."""
    architecture: Architecture
    costs: Mapping[str, float]
    """Metric -> latency in milliseconds or energy in millijoules."""


class HWNASBench(Benchmark):
    """HW-NAS-Bench from its official file.

    Args:
        path: path of HW-NAS-Bench-v1_0.pickle.
        data_set: "cifar10", "cifar100" or "imagenet16-120".
        objective: default metric; the first one if omitted.
    """

    name: ClassVar[str] = "hw_nas_bench"
    units = FrozenDict({"latency": "ms", "energy": "mJ"})
    directions = FrozenDict({"average_hw_metric": "min", "arithmetic_intensity": "max"})

    def __init__(self, path: str | Path, data_set: str = "cifar10", objective: str | None = None) -> None:
        if not isinstance(data_set, str) or data_set.lower() not in DATA_SETS:
            raise SpecError(f"HW-NAS-Bench: {unknown('data set', data_set, DATA_SETS)}")
        self.path, self.data_set = path_of("the file of HW-NAS-Bench", path), data_set.lower()
        self.space = NASBench201.paper()
        data = _bytes(self.path)
        self._digest = hashlib.sha256(data).hexdigest()
        columns = _columns(pickled.read(data, str(self.path)), DATA_SETS[self.data_set], self.space.size, self.path)
        if objective is not None and objective not in columns:
            raise SpecError(f"HW-NAS-Bench: {unknown('metric', objective, columns)}")
        self.objective = objective or next(iter(columns))  # type: ignore[misc]
        super().__init__([self.space.at(index).choices for index in range(self.space.size)], columns, epochs=0)

    def query(self, architecture: Architecture | int) -> HWNASBenchRecord:
        """Returns the costs of a cell."""
        index = self.index(architecture)
        costs = {metric: float(self.column(metric)[index]) for metric in self.metrics}
        return HWNASBenchRecord(index=index, architecture=self.at(index), costs=FrozenDict(costs))

    def spec(self) -> dict[str, Any]:
        return {
            "benchmark": self.name,
            "path": str(self.path),
            "data_set": self.data_set,
            "objective": self.objective,
        }

    @property
    def sources(self) -> Sequence[str]:
        return [self._digest]

    def fingerprint(self) -> str:
        """See `Benchmark.fingerprint`. It does not depend on the path of the file."""
        return hashlib.sha256(f"{self.name} {self.data_set} {self.objective} {self._digest}".encode()).hexdigest()


def _bytes(path: Path) -> bytes:
    try:
        return files.read(path, MAX_BYTES, links=True)
    except OSError as error:
        raise DataError(f"expected HW-NAS-Bench-v1_0.pickle at {path}: {error.strerror}") from None


def _columns(content: Any, data_set: str, cells: int, path: Path) -> dict[str, np.ndarray]:
    """Returns metric -> [15625] float64."""
    try:
        lists = content["nasbench201"][data_set]
        named = {name: values for name, values in lists.items() if name != "config"}
        columns = {}
        for name, values in named.items():
            device, _, kind = name.partition("_")
            column = np.array([float(value) for value in values], dtype=np.float64)
            if column.shape != (cells,) or not np.isfinite(column).all():
                raise DataError(
                    f"{path}: {name[:50]!r} of {data_set} has {len(column)} numbers, not {cells} finite ones"
                )
            columns[name if device == "average" else f"{kind}/{device}"] = read_only(column)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        columns = {}
    if not columns:
        raise DataError(
            f"{path} is not HW-NAS-Bench: expected ['nasbench201']['{data_set}'], lists of figures by metric and device"
        )
    return columns
