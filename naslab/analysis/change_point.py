"""Change point of a search: the step from which on the derived architecture is truly worse than before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from naslab.errors import SpecError


class ChangePoint(NamedTuple):
    """A change point, with the mean true value on both sides."""

    step: int
    """First step with the worse architectures."""
    before: float
    """Mean true value of the derived architecture over all steps before."""
    after: float
    """Mean true value from that step on."""


def change_point(steps: Sequence[int], truth: Sequence[float] | np.ndarray, end: int) -> ChangePoint | None:
    """Returns the most likely step of a decrease, by the cumulative sum (CUSUM) of Page 1954.

        S_k = sum over t <= k of (x_t - mean(x)),      change after argmax_k S_k

    The sum grows while x is above its mean and falls afterwards, so that it peaks at a decrease. A maximum always
    exists; whether the decrease is large is seen in `before` and `after`. None if there is no decrease.

    Args:
        steps: [N], increasing: the steps at which the derived architecture changed.
        truth: [N]: its true value from there on.
        end: the last step.
    """
    first, values = np.asarray(steps, dtype=np.int64), np.asarray(truth, dtype=np.float64)
    if first.shape != values.shape or np.any(np.diff([*first.tolist(), end + 1]) <= 0):
        raise SpecError(f"a step for each truth, rising, and none after end={end}; got {steps!s:.100}")
    if len(values) < 2:
        return None
    lengths = np.diff([*first.tolist(), end + 1])  # [N] steps for which each architecture was derived: the weights
    deviation = np.cumsum(lengths * (values - np.average(values, weights=lengths)))[:-1]
    at = int(deviation.argmax()) + 1
    before = float(np.average(values[:at], weights=lengths[:at]))
    after = float(np.average(values[at:], weights=lengths[at:]))
    return ChangePoint(int(first[at]), before, after) if after < before else None
