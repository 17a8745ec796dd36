"""Learning curves: what was measured after each epoch of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from naslab.immutable import Record


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve(Record):
    """One training of NAS-Bench-201.

    Splits are named as published: "train", and of "x-valid", "x-test", "ori-test" what was measured.
    """

    run: str
    """The data set; "cifar10-valid" is CIFAR-10 with half of the training images held out."""
    seed: int
    epochs: int
    seconds: float
    """Of all epochs, without evaluation."""
    accuracy: Mapping[str, np.ndarray]
    """Split -> [epochs], percent; NaN where it was not measured."""
    loss: Mapping[str, np.ndarray]
    """Split -> [epochs], nats; NaN where it was not measured."""


def to_the_end(values: Mapping[int, float], epochs: int) -> np.ndarray:
    """[epochs], read-only: the values by epoch, counted from 0; NaN where there is none."""
    curve = np.full(epochs, np.nan)
    for epoch, value in values.items():
        if not 0 <= epoch < epochs:
            raise ValueError(epoch)
        curve[epoch] = value
    curve.setflags(write=False)
    return curve
