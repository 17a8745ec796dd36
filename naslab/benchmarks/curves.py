"""Learning curves: accuracy and loss after each epoch of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from naslab.immutable import Record


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve(Record):
    """One training of NAS-Bench-201.

    Splits have their published names: "train", and those of "x-valid", "x-test" and "ori-test" that were measured.
    """

    run: str
    """The data set; "cifar10-valid" is CIFAR-10 with half of the training images held out."""
    seed: int
    epochs: int
    seconds: float
    """Training time of all epochs, without evaluation."""
    accuracy: Mapping[str, np.ndarray]
    """Split -> [epochs], percent; NaN where it was not measured."""
    loss: Mapping[str, np.ndarray]
    """Split -> [epochs], nats; NaN where it was not measured."""


def to_the_end(values: Mapping[int, float], epochs: int) -> np.ndarray:
    """Returns a read-only array [epochs] of the values by epoch, counted from 0; NaN where one is missing."""
    curve = np.full(epochs, np.nan)
    for epoch, value in values.items():
        if not 0 <= epoch < epochs:
            raise ValueError(epoch)
        curve[epoch] = value
    curve.setflags(write=False)
    return curve
