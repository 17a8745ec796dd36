"""NAS-Bench-MR as a table: 2,507 multi-resolution networks, each trained for several tasks (Ding et al. 2022,
https://arxiv.org/abs/2103.13253).

Tasks: image classification on subsets of ImageNet ("cls-50-1000": 50 classes, 1,000 images of each; "cls-50-100",
"cls-10-1000"; "cls-10c": 10 classes, trained for 10 epochs), semantic segmentation of Cityscapes ("seg"; "seg-4x" at a
quarter of the resolution) and videos of HMDB51 ("video"; "video-p" pre-trained). The metrics of each are as published,
in percent.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np

import naslab.data
from naslab.architecture import Architecture, Prefix
from naslab.benchmarks.benchmark import read_only
from naslab.benchmarks.bundled import Bundled
from naslab.errors import SpecError, unknown
from naslab.immutable import FrozenDict, Record
from naslab.spaces import nasbench_mr as spaces
from naslab.spaces.subset import Subset

FILE = "nasbench_mr.csv.gz"
OBJECTIVES = {
    "cls-50-1000": "top1",
    "cls-50-100": "top1",
    "cls-10-1000": "top1",
    "cls-10c": "top1",
    "seg": "mIoU",
    "seg-4x": "mIoU",
    "video": "top1",
    "video-p": "top1",
}
"""Task -> default metric."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NASBenchMRRecord(Record):
    """Values of one network."""

    index: int
    """Row of the network in the table."""
    architecture: Architecture
    scores: Mapping[str, float]
    """Score in percent by "task.metric", for every task."""
    parameters: int
    """Parameters of the network with 50 classes."""
    flops: int
    """Multiply-adds for one image of 128 x 128."""


class NASBenchMR(Bundled):
    """NAS-Bench-MR in memory.

    Args:
        task: task whose objective is the default metric; the metrics of all tasks are available.
    """

    name: ClassVar[str] = "nasbench_mr"
    file: ClassVar[str] = FILE
    units = FrozenDict(dict.fromkeys(("top1", "top5", "mIoU", "mAcc", "aAcc"), "per cent"))
    directions = FrozenDict(dict.fromkeys(("top1", "top5", "mIoU", "mAcc", "aAcc"), "max"))

    def __init__(self, task: str = "cls-50-1000") -> None:
        if not isinstance(task, str) or task not in OBJECTIVES:
            raise SpecError(f"NAS-Bench-MR: {unknown('task', task, OBJECTIVES)}")
        self.task = task
        self.objective = f"{task}.{OBJECTIVES[task]}"  # type: ignore[misc]
        space, columns = _table()
        self.space = space
        super().__init__(space.rows, columns, epochs=0)

    def query(self, architecture: Architecture | int) -> NASBenchMRRecord:
        """Returns the values of a network."""
        index = self.index(architecture)
        scores = {metric: float(self.column(metric)[index]) for metric in self.metrics if "." in metric}
        return NASBenchMRRecord(
            index=index,
            architecture=self.at(index),
            scores=FrozenDict(scores),
            parameters=int(self.column("parameters")[index]),
            flops=int(self.column("flops")[index]),
        )

    def spec(self) -> dict[str, Any]:
        return {"benchmark": self.name, "task": self.task}


@cache
def _table() -> tuple[Subset, dict[str, np.ndarray]]:
    """Returns the space of the tabulated networks, and metric -> [2507]."""
    header, *rows = csv.reader(io.StringIO(gzip.decompress(naslab.data.read(FILE)).decode("ascii")))
    held: tuple[Prefix, ...] = tuple(tuple(map(int, row[0].split())) for row in rows)
    values = np.array([row[1:] for row in rows], dtype=np.float64)
    columns = {name: read_only(column) for name, column in zip(header[1:], values.T, strict=True)}
    columns["parameters"] = read_only(np.rint(columns.pop("params_M") * 1e6))
    columns["flops"] = read_only(np.rint(columns.pop("flops_G") * 1e9))
    return Subset(spaces.NASBenchMR.paper(), held), columns
