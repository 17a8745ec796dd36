"""The remaining steps of a search, grouped by kind, for forecasts and learning-rate range tests."""

from __future__ import annotations

from typing import NamedTuple


class Stretch(NamedTuple):
    """Remaining steps of one kind, which take about equally long: training weights, or evaluating children."""

    name: str
    count: int  # pyright: ignore[reportIncompatibleMethodOverride]
    """Number of remaining steps of this kind."""
    at: int
    """First step, counted from 0, of a contiguous sequence of them."""
    run: int
    """Length of that sequence."""
    together: int = 1
    """Number of steps in one round of the algorithm, which ends with an update."""
    moves: tuple[str, ...] = ()
    """Settings that are the learning rates of these steps."""
    of_epochs: bool = True
    """Whether the steps belong to passes over the training data of the weights."""
