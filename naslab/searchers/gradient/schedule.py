"""A number that changes as the search goes, and that may be turned by hand on the way."""

from __future__ import annotations

import math
from dataclasses import dataclass

from naslab.errors import SpecError, real
from naslab.searchers.settings import Slider


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """From `start` in the first epoch to `end` after the last, or in the last.

    A value that was set by hand goes on to the same end from the epoch when it was set, in the same shape; one that
    lies beyond the end stays where it is.
    """

    start: float
    end: float | None = None
    """None: it stays as it is."""
    shape: str = "linear"
    """Or "cosine", "exponential" (equal ratios, epoch by epoch), or "p-darts" (see `p_darts`)."""
    arrives: bool = False
    """Whether `end` is the value of the last epoch; else it would be that of the epoch after it."""
    low: float
    """Of the slider."""
    high: float
    log: bool = True
    description: str = ""

    def at(self, epoch: int, epochs: int, value: float, since: int) -> float:
        """In this epoch, if the value was set at the epoch `since`."""
        if self.shape == "p-darts":
            past = p_darts(since, epochs) if since else 1.0
            return value * p_darts(epoch, epochs) / past if past else value
        if self.end is None or (value <= self.end if self.start >= self.end else value >= self.end):
            return value
        if self.arrives:
            epochs -= 1
        if since >= epochs:
            return value
        if self.shape == "exponential":
            return self.end * (value / self.end) ** ((epochs - epoch) / (epochs - since))

        def left(at: int) -> float:
            return 1 + math.cos(math.pi * at / epochs) if self.shape == "cosine" else 1 - at / epochs

        return self.end + (value - self.end) * left(epoch) / left(since)

    def slider(self, value: float, base: float) -> Slider:
        """Args:
        value: that it has now.
        base: that was set.
        """
        leads = self.end is not None or self.shape == "p-darts"
        return Slider(
            value=value,
            low=min(self.low, value),
            high=max(self.high, value),
            log=self.log,
            description=self.description,
            base=base if leads else None,
            schedule=self.shape if leads else "",
        )


P_DARTS_EPOCHS = 10
"""Epochs in which the authors of P-DARTS train the weights alone, while the dropout rate falls linearly."""


def p_darts(epoch: int, epochs: int) -> float:
    """The share of its rate that P-DARTS' dropout has in an epoch, counted from 0 (Chen et al. 2019, their code)."""
    if epoch < P_DARTS_EPOCHS:
        return (epochs - epoch - 1) / epochs
    return math.exp(-0.2 * (epoch - P_DARTS_EPOCHS))


def positive(name: str, value: object) -> float:
    """The value if it is a positive, finite number."""
    number = real(name, value)
    if not 0 < number < math.inf:
        raise SpecError(f"{name} must be positive and finite, not {value!r}")
    return number


def at_least_zero(name: str, value: object) -> float:
    """The value if it is a finite number from 0 up."""
    number = real(name, value)
    if not 0 <= number < math.inf:
        raise SpecError(f"{name} must not be negative, and finite, not {value!r}")
    return number


def share(name: str, value: object) -> float:
    """The value if it is in [0, 1)."""
    number = real(name, value)
    if not 0 <= number < 1:
        raise SpecError(f"{name} must be in [0, 1), not {value!r}")
    return number
