"""How much worse a network does on data that it has not trained on, epoch after epoch.

    gap of the loss       =  test loss - training loss
    gap of the objective  =  how much worse it is on the test data than in training:
                             training accuracy - test accuracy, test perplexity - training perplexity

Shu, Wang & Cai 2020 (https://arxiv.org/abs/1909.09569, Sec. 3.4) find that wide and shallow cells, which searches like,
do not generalise better than others of their space.

The training figures are those of a report: means over the steps of an epoch, of augmented data and of weights that
were still moving. A gap may therefore be negative, above all in the first epochs and where augmentation is strong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from naslab.errors import DataError, SpecError
from naslab.immutable import Record
from naslab.quantities import Objective
from naslab.trainers.report import Epoch, Report

ACCURACY, LOSS = Objective("accuracy", "max", "%"), Objective("loss", "min")


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneralisationGap(Record):
    """Over E epochs; greater is worse."""

    epochs: np.ndarray
    """[E], from 1."""
    loss: np.ndarray
    """[E], in the unit of the loss: nats, for images."""
    worse: np.ndarray
    """[E], in the unit of the objective."""
    objective: Objective = ACCURACY
    """What that is of."""

    @property
    def accuracy(self) -> np.ndarray:
        """[E], in [-1, 1]: the gap of the objective, where that is an accuracy."""
        if self.objective.name != ACCURACY.name:
            raise SpecError(f"the gap is of the {self.objective.name}, not of an accuracy: read `worse`")
        return self.worse


def generalisation_gap(training: Report | Sequence[Epoch], objective: Objective | None = None) -> GeneralisationGap:
    """The gap over a training: of a report of `fit`, or of the epochs so far.

    Args:
        training: with test data, epoch after epoch.
        objective: a metric of the task; if left out that of the report, and of bare epochs the accuracy, or the loss.
    """
    if isinstance(training, Report):
        name = training.objective
        quantity = training.quantities[name]
        objective = objective or Objective(name, quantity.direction or "max", quantity.unit)
    history = tuple(training.history if isinstance(training, Report) else training)
    if not history:
        raise DataError("a training of no epoch has no gap: train first")
    if objective is None:
        objective = ACCURACY if "train/accuracy" in history[0].metrics else LOSS
    names = [f"{split}/{metric}" for metric in ("loss", objective.name) for split in ("train", "test")]
    for name in names:
        if name not in history[0].metrics:
            raise DataError(f"this training has no {name!r}; it has measured {', '.join(history[0].metrics)}")
    rows = np.array([[epoch.metrics.get(name, np.nan) for name in names] for epoch in history])
    if bad := [epoch.epoch for epoch, row in zip(history, rows, strict=True) if not np.isfinite(row).all()]:
        raise DataError(f"not all of {', '.join(names)} are finite in the epochs {bad}: this training diverged")
    train_loss, test_loss, train, test = rows.T
    return GeneralisationGap(
        epochs=np.array([epoch.epoch for epoch in history], dtype=np.int64),
        loss=test_loss - train_loss,
        worse=objective.sign * (train - test),
        objective=objective,
    )
