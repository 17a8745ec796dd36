"""NAS-Bench-Macro as a table: all 6,561 chains, trained on CIFAR-10 three times (Su et al. 2021,
https://arxiv.org/abs/2103.11922). They are numbered in the order of their digits: 00000000, 00000001, ..., 22222222.
"""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

import naslab.data
from naslab.architecture import Architecture
from naslab.benchmarks.benchmark import read_only
from naslab.benchmarks.bundled import Bundled
from naslab.immutable import FrozenDict, Record
from naslab.spaces import nasbench_macro as spaces

FILE = "nasbench_macro.csv.gz"
RUNS = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class NASBenchMacroRecord(Record):
    """Values of one chain."""

    index: int
    """Number of the chain: its digits read in base 3."""
    architecture: Architecture
    test_accuracy: float
    """Percent; mean of the three runs."""
    test_accuracies: tuple[float, ...]
    """Test accuracy of each run, in percent."""
    parameters: int
    flops: int
    """Multiply-adds for one image of 32 x 32."""


class NASBenchMacro(Bundled):
    """NAS-Bench-Macro in memory."""

    name: ClassVar[str] = "nasbench_macro"
    file: ClassVar[str] = FILE
    objective: ClassVar[str] = "test_accuracy"
    units = FrozenDict({"test_accuracy": "per cent"})

    def __init__(self) -> None:
        self.space = spaces.NASBenchMacro.paper()
        runs, parameters, flops = _table()
        self._runs = runs
        columns = {
            "test_accuracy": read_only(runs.mean(axis=1)),
            "parameters": read_only(parameters),
            "flops": read_only(flops),
        }
        super().__init__([architecture.choices for architecture in self.space.enumerate()], columns, epochs=0)

    def query(self, architecture: Architecture | int) -> NASBenchMacroRecord:
        """Returns the values of a chain."""
        index = self.index(architecture)
        return NASBenchMacroRecord(
            index=index,
            architecture=self.at(index),
            test_accuracy=float(self.column("test_accuracy")[index]),
            test_accuracies=tuple(self._runs[index].tolist()),
            parameters=int(self.column("parameters")[index]),
            flops=int(self.column("flops")[index]),
        )


@cache
def _table() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns accuracies [6561, 3], parameters [6561] and multiply-adds [6561]."""
    text = gzip.decompress(naslab.data.read(FILE)).decode("ascii")
    values = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1, usecols=range(1, 1 + RUNS + 2))
    return values[:, :RUNS], values[:, RUNS], values[:, RUNS + 1]
