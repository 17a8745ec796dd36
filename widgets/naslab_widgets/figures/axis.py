"""Ranges and round tick marks of axes."""

from __future__ import annotations

import math

SMALLEST = 1e-300
"""A range below this has no round numbers in it: powers of ten end at 1e-308."""
ALIKE = 1e-12
"""Relative difference below which two numbers are drawn as one."""
DECADES = 4
"""Positive numbers over more powers of ten than these are drawn on a logarithmic axis."""


def widened(low: float, high: float, share: float = 0.0) -> tuple[float, float]:
    """Returns the ends of an axis: the range with a margin of `share` of it on both sides, never empty."""
    size = max(abs(low), abs(high))
    if high - low <= ALIKE * size:
        slack = 0.01 * size or 1e-3
        return low - slack, high + slack
    return low - share * (high - low), high + share * (high - low)


def powers(low: float, high: float, most: int = 8) -> list[float]:
    """Returns evenly spaced powers of ten from low to high, both positive: at most `most` of them."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    return [10.0**power for power in range(first, last + 1, 1 + max(0, last - first) // most)]


def ticks(low: float, high: float, about: int = 4) -> tuple[float, float, list[float]]:
    """Returns (low, high, ticks): round ends around the range, and round ticks from end to end, about `about`
    intervals.
    """
    low, high = widened(low, high)
    rough = (high - low) / about
    if rough < SMALLEST:
        return low, high, [low, high]
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(m * scale for m in (1, 2, 5, 10) if m * scale >= rough * (1 - 1e-9))
    first, last = math.floor(low / step), math.ceil(high / step)
    last = max(last, first + 1)
    return first * step, last * step, [i * step for i in range(first, last + 1)]
