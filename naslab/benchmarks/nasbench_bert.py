"""NAS-Bench-BERT: 500 encoders of the FlexiBERT space, pre-trained on OpenWebText and fine-tuned on the eight tasks of
GLUE (Serianni & Kalita 2023, https://arxiv.org/abs/2306.00288).

Scores are as published, in percent: accuracy, but Matthews' correlation for "cola" and a rank correlation for "sts";
"glue" is their mean. A score of 0 or below on "cola" means that nothing was learnt. An encoder that was
sampled twice is one entry here, with means over both trainings.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

import naslab.data
from naslab.architecture import Architecture, Prefix
from naslab.benchmarks.benchmark import read_only
from naslab.benchmarks.bundled import Bundled
from naslab.immutable import FrozenDict, Record
from naslab.spaces.flexibert import FlexiBERT
from naslab.spaces.subset import Subset

FILE = "nasbench_bert.json.gz"
SCORES = ("glue", "cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst", "sts")


@dataclass(frozen=True, kw_only=True, eq=False)
class NASBenchBERTRecord(Record):
    """Values of one encoder."""

    index: int
    """Row of the encoder in the table."""
    architecture: Architecture
    glue: float
    """Percent; mean of the eight scores."""
    scores: Mapping[str, float]
    """Task of GLUE -> score in percent."""
    seconds: float
    """Time of the pre-training, on eight cores of a TPU."""


class NASBenchBERT(Bundled):
    """NAS-Bench-BERT in memory."""

    name: ClassVar[str] = "nasbench_bert"
    file: ClassVar[str] = FILE
    objective: ClassVar[str] = "glue"
    units = FrozenDict({**dict.fromkeys(SCORES, "per cent"), "seconds": "s"})
    directions = FrozenDict(dict.fromkeys(SCORES, "max"))

    def __init__(self) -> None:
        self.space, columns = _table()
        super().__init__(self.space.rows, columns, epochs=0)

    def query(self, architecture: Architecture | int) -> NASBenchBERTRecord:
        """Returns the values of an encoder."""
        index = self.index(architecture)
        scores = {task: float(self.column(task)[index]) for task in SCORES}
        return NASBenchBERTRecord(
            index=index,
            architecture=self.at(index),
            glue=scores.pop("glue"),
            scores=FrozenDict(scores),
            seconds=float(self.column("seconds")[index]),
        )


@cache
def _table() -> tuple[Subset, dict[str, np.ndarray]]:
    """Returns the space of the tabulated encoders, and metric -> [N]."""
    space = FlexiBERT.paper()
    records = json.loads(gzip.decompress(naslab.data.read(FILE)))
    trainings: dict[Prefix, list[list[float]]] = {}
    for record in records:
        choices = space.from_config(record["hparams"]["model_hparam_overrides"]).choices
        figures = [*(record["scores"][task] for task in SCORES), record["time_to_train"]]
        trainings.setdefault(choices, []).append(figures)
    means = np.array([np.mean(figures, axis=0) for figures in trainings.values()]).T
    columns = {metric: read_only(mean) for metric, mean in zip((*SCORES, "seconds"), means, strict=True)}
    return Subset(space, tuple(trainings)), columns
