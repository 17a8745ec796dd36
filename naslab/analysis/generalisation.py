"""Generalisation gap of a network, epoch by epoch: how much worse it is on test data than on training data.

    gap of the loss       =  test loss - training loss
    gap of the objective  =  training accuracy - test accuracy, or test perplexity - training perplexity, ...

Shu, Wang & Cai 2020 (https://arxiv.org/abs/1909.09569, Sec. 3.4) find that wide and shallow cells, which searches
prefer, do not generalise better than others of their space.

The training metrics are those of a report: means over the steps of an epoch, on augmented data and with weights that
were still changing. A gap can therefore be negative, especially in the first epochs and with strong augmentation.
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
    """The gaps over E epochs; larger is worse."""

    epochs: np.ndarray
    """[E]: numbers of the epochs, from 1."""
    loss: np.ndarray
    """[E]: gap of the loss, in its unit (nats for cross-entropy)."""
    worse: np.ndarray
    """[E]: gap of the objective, in its unit."""
    objective: Objective = ACCURACY
    """The objective of `worse`."""

    @property
    def accuracy(self) -> np.ndarray:
        """[E], in [-1, 1]: gap of the accuracy; `SpecError` for another objective."""
        if self.objective.name != ACCURACY.name:
            raise SpecError(f"the gap is of the {self.objective.name}, not of an accuracy: read `worse`")
        return self.worse


def generalisation_gap(training: Report | Sequence[Epoch], objective: Objective | None = None) -> GeneralisationGap:
    """Returns the gap over a training.

    Args:
        training: report of `fit`, or the epochs so far, with test data at each epoch.
        objective: a metric of the task; by default that of the report; for bare epochs the accuracy, or the loss.

    Raises:
        DataError: there is no epoch, a metric is missing, or the training diverged.
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
