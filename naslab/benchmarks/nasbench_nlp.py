"""NAS-Bench-NLP on WikiText-2: 265 recurrent cells, their losses after each of 50 epochs (Klyuchnikov et al. 2020,
https://arxiv.org/abs/2006.07116).

The 345 published trainings are of 291 recipes, some of which differ only in the names and order of their nodes: those
are one cell here, with means over its trainings. A loss is the mean over all words of the
negative logarithm (nats) of the probability of the next one; a perplexity is its exponential. Four trainings diverged:
their losses are infinite from then on, so that such a cell is the worst of all and, as a candidate of a search, fails.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, NamedTuple

import numpy as np

import naslab.data
from naslab.architecture import Architecture, Prefix
from naslab.benchmarks.benchmark import Column, read_only
from naslab.benchmarks.bundled import Bundled
from naslab.immutable import FrozenDict, Record
from naslab.spaces import nasbench_nlp as spaces
from naslab.spaces.subset import Subset

FILE = "nasbench_nlp.json.gz"
EPOCHS = 50
SPLITS = {"train_loss": "train_loss", "valid_loss": "val_loss", "test_loss": "test_loss"}
"""Metric -> name in the file."""


class Training(NamedTuple):
    """One training of a cell."""

    number: int
    """Published number of the training."""
    losses: dict[str, np.ndarray]
    """Metric -> loss after each epoch, [50]; infinite from the epoch on in which training diverged."""
    diverged: bool
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class NASBenchNLPRecord(Record):
    """Values of one cell."""

    index: int
    """Row of the cell in the table."""
    architecture: Architecture
    epochs: int
    """Epochs of training after which the losses were measured."""
    train_loss: float
    valid_loss: float
    test_loss: float
    test_perplexity: float
    """Exponential of the mean test loss."""
    parameters: int
    """Parameters of the network without its embedding, for the 33,278 words of WikiText-2."""
    seconds: float
    """Training time of `epochs` epochs, in proportion to the time of all 50."""
    trainings: tuple[Training, ...]


class NASBenchNLP(Bundled):
    """NAS-Bench-NLP in memory."""

    name: ClassVar[str] = "nasbench_nlp"
    file: ClassVar[str] = FILE
    objective: ClassVar[str] = "test_loss"
    units = FrozenDict({"test_loss": "nats", "valid_loss": "nats", "train_loss": "nats", "seconds": "s"})

    def __init__(self) -> None:
        space, columns, self._trainings = _table()
        self.space = space
        super().__init__(space.rows, columns, epochs=EPOCHS)

    def curve(self, architecture: Architecture | int, metric: str = "valid_loss") -> np.ndarray:
        """Returns a loss or perplexity of a cell after each epoch, [50]."""
        index = self.index(architecture)
        return np.array([self.column(metric, epochs=epochs)[index] for epochs in range(1, EPOCHS + 1)])

    def query(self, architecture: Architecture | int, *, epochs: int = EPOCHS) -> NASBenchNLPRecord:
        """Returns the values of a cell after `epochs` epochs of training."""
        index = self.index(architecture)
        figures = {
            metric: float(self.column(metric, epochs=epochs)[index])
            for metric in (*SPLITS, "test_perplexity", "seconds")
        }
        return NASBenchNLPRecord(
            index=index,
            architecture=self.at(index),
            epochs=epochs,
            **figures,
            parameters=int(self.column("parameters")[index]),
            trainings=self._trainings[index],
        )


@cache
def _table() -> tuple[Subset, dict[str, Column], tuple[tuple[Training, ...], ...]]:
    """Returns the space of the tabulated cells, the columns, and the trainings of each cell."""
    space = spaces.NASBenchNLP.paper()
    trainings: dict[Prefix, list[Training]] = {}
    parameters = {}
    for record in json.loads(gzip.decompress(naslab.data.read(FILE))):
        choices = space.from_recipe(record["recipe"]).choices
        losses = {metric: _curve(record[name]) for metric, name in SPLITS.items()}
        done = len(record["train_loss"])
        training = Training(record["id"], losses, record["status"] != "OK", record["wall_s"] * EPOCHS / done)
        trainings.setdefault(choices, []).append(training)
        parameters[choices] = record["num_params"]
    columns: dict[str, Column] = {}
    for metric in SPLITS:
        curves = np.array([np.mean([run.losses[metric] for run in runs], axis=0) for runs in trainings.values()])
        columns[metric] = {epoch: read_only(curves[:, epoch - 1]) for epoch in range(EPOCHS, 0, -1)}
        perplexity = metric.replace("loss", "perplexity")
        columns[perplexity] = {epoch: read_only(np.exp(curves[:, epoch - 1])) for epoch in range(EPOCHS, 0, -1)}
    seconds = np.array([np.mean([run.seconds for run in runs]) for runs in trainings.values()])
    columns["seconds"] = {epoch: read_only(seconds * epoch / EPOCHS) for epoch in range(EPOCHS, 0, -1)}
    columns["parameters"] = read_only([parameters[choices] for choices in trainings])
    return Subset(space, tuple(trainings)), columns, tuple(tuple(runs) for runs in trainings.values())


def _curve(losses: Sequence[float | None]) -> np.ndarray:
    """Returns the losses, [50]; infinite from the first missing epoch on."""
    curve = np.full(EPOCHS, math.inf)
    known = [loss for loss in losses if loss is not None]
    curve[: len(known)] = known
    curve.setflags(write=False)
    return curve
