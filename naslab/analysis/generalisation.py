"""How much worse a network does on images that it has not trained on, epoch after epoch.

    gap of the loss      =  test loss - training loss
    gap of the accuracy  =  training accuracy - test accuracy

Shu, Wang & Cai 2020 (https://arxiv.org/abs/1909.09569, Sec. 3.4) find that wide and shallow cells, which searches like,
do not generalise better than others of their space.

The training figures are those of a report: means over the steps of an epoch, of augmented images and of weights that
were still moving. A gap may therefore be negative, above all in the first epochs and where augmentation is strong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from naslab.errors import DataError
from naslab.immutable import Record
from naslab.trainers.report import Epoch, Report


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneralisationGap(Record):
    """Over E epochs; greater is worse."""

    epochs: np.ndarray
    """[E], from 1."""
    loss: np.ndarray
    """[E], in nats."""
    accuracy: np.ndarray
    """[E], in [-1, 1]."""


def generalisation_gap(training: Report | Sequence[Epoch]) -> GeneralisationGap:
    """The gap over a training: of a report of `fit`, or of the epochs so far."""
    history = training.history if isinstance(training, Report) else tuple(training)
    if not history:
        raise DataError("a training of no epoch has no gap: train first")
    rows = np.array([(e.epoch, e.train_loss, e.test_loss, e.train_accuracy, e.test_accuracy) for e in history])
    if bad := [int(row[0]) for row in rows if not np.isfinite(row).all()]:
        raise DataError(f"the losses and accuracies of the epochs {bad} are not all finite: this training diverged")
    epochs, train_loss, test_loss, train_accuracy, test_accuracy = rows.T
    return GeneralisationGap(
        epochs=epochs.astype(np.int64), loss=test_loss - train_loss, accuracy=train_accuracy - test_accuracy
    )
