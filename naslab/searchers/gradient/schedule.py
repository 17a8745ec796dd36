"""Schedules: numbers that change from epoch to epoch, and that a user may set during the search."""

from __future__ import annotations

import math
from dataclasses import dataclass

from naslab.errors import SpecError, real
from naslab.searchers.settings import Slider


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A number that goes from `start` in the first epoch to `end`, in the last epoch or in the one after it.

    A value that is set during the search goes on towards the same end, in the same shape, from the epoch when it was
    set. A value beyond the end stays as it is.
    """

    start: float
    """Value in the first epoch."""
    end: float | None = None
    """Value at the end; None: constant."""
    shape: str = "linear"
    """"linear", "cosine", "exponential" (equal ratios, epoch by epoch) or "p-darts" (see `p_darts`)."""
    arrives: bool = False
    """True if `end` is the value of the last epoch; False if it is that of the epoch after it, which never comes."""
    low: float
    """Lowest value of the slider."""
    high: float
    """Highest value of the slider."""
    log: bool = True
    """True if the slider is logarithmic."""
    description: str = ""

    def at(self, epoch: int, epochs: int, value: float, since: int) -> float:
        """Returns the value in an epoch.

        Args:
            epoch: the epoch, counted from 0.
            epochs: epochs of the whole search.
            value: the value that was last set; `start` if none was.
            since: the epoch in which it was set; 0 for `start`.
        """
        if self.shape == "p-darts":
            # `value` is the rate in the epoch `since`; dividing by the share there gives the rate that it stands for
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
            """Returns the share of the way that is left at an epoch; twice it for the cosine, which cancels below."""
            return 1 + math.cos(math.pi * at / epochs) if self.shape == "cosine" else 1 - at / epochs

        return self.end + (value - self.end) * left(epoch) / left(since)

    def slider(self, value: float, base: float) -> Slider:
        """Returns the slider of the setting.

        Args:
            value: the value now, on its schedule.
            base: the value that was last set, from which the schedule leads to `value`.
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
"""Epochs in which the authors of P-DARTS train only the weights, while the dropout rate falls linearly."""


def p_darts(epoch: int, epochs: int) -> float:
    """Returns the dropout rate of P-DARTS in an epoch, counted from 0, as a share of its hyperparameter.

    As in the authors' code (Chen et al. 2019): it falls linearly in the first ten epochs, then exponentially from the
    full rate again.
    """
    if epoch < P_DARTS_EPOCHS:
        return (epochs - epoch - 1) / epochs
    return math.exp(-0.2 * (epoch - P_DARTS_EPOCHS))


def positive(name: str, value: object) -> float:
    """Returns the value as a float. Raises `SpecError` unless it is positive and finite."""
    number = real(name, value)
    if not 0 < number < math.inf:
        raise SpecError(f"{name} must be positive and finite, not {value!r}")
    return number


def at_least_zero(name: str, value: object) -> float:
    """Returns the value as a float. Raises `SpecError` unless it is finite and at least 0."""
    number = real(name, value)
    if not 0 <= number < math.inf:
        raise SpecError(f"{name} must not be negative, and finite, not {value!r}")
    return number


def share(name: str, value: object) -> float:
    """Returns the value as a float. Raises `SpecError` unless it is in [0, 1)."""
    number = real(name, value)
    if not 0 <= number < 1:
        raise SpecError(f"{name} must be in [0, 1), not {value!r}")
    return number
