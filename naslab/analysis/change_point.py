"""The moment a search turns: from when on what it would derive is truly worse than before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from naslab.errors import SpecError


class ChangePoint(NamedTuple):
    """Before and after."""

    step: int
    """The first step with the worse architectures."""
    before: float
    """Mean truth of what would have been derived, over all steps before."""
    after: float
    """The same from that step on."""


def change_point(steps: Sequence[int], truth: Sequence[float] | np.ndarray, end: int) -> ChangePoint | None:
    """Where the truth falls, by the cumulative sum of its deviations from the mean (Page 1954), which peaks there.

    It is always somewhere, unless the truth never falls below what it was on average before: then None. Whether it
    fell by much is in `before` and `after`.

    Args:
        steps: [N], rising: the steps at which something else began to be derived.
        truth: [N]: its true worth.
        end: the last step.
    """
    first, values = np.asarray(steps, dtype=np.int64), np.asarray(truth, dtype=np.float64)
    if first.shape != values.shape or np.any(np.diff([*first.tolist(), end + 1]) <= 0):
        raise SpecError(f"a step for each truth, rising, and none after end={end}; got {steps!s:.100}")
    if len(values) < 2:
        return None
    lengths = np.diff([*first.tolist(), end + 1])
    deviation = np.cumsum(lengths * (values - np.average(values, weights=lengths)))[:-1]
    at = int(deviation.argmax()) + 1
    before = float(np.average(values[:at], weights=lengths[:at]))
    after = float(np.average(values[at:], weights=lengths[at:]))
    return ChangePoint(int(first[at]), before, after) if after < before else None
