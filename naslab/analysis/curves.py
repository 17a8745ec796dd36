"""Summary of the curves of many seeds: incumbents over the budget, interpolated on a common grid.

Shapes: N seeds, Q queries (evaluations), P points of the grid.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from naslab.errors import SpecError


class Band(NamedTuple):
    """Summary of N curves, each field [P]; NaN where no seed has a value."""

    x: np.ndarray
    """Grid, in units of the budget."""
    mean: np.ndarray
    low: np.ndarray
    """Lower end of the 95 % confidence interval of the mean, by Student's t; with one seed, the mean itself."""
    high: np.ndarray
    """Upper end of the same interval."""
    median: np.ndarray
    lower: np.ndarray
    """Lower quartile over the seeds."""
    upper: np.ndarray
    """Upper quartile over the seeds."""
    seeds: np.ndarray
    """Number of seeds with a value."""


def incumbents(fitness: np.ndarray) -> np.ndarray:
    """Returns [..., Q] int: index of the fittest query so far, the first of equals; -1 before any success.

    Args:
        fitness: [..., Q], NaN for failures.
    """
    known = np.where(np.isnan(fitness), -np.inf, fitness)
    best = np.maximum.accumulate(known, axis=-1)
    before = np.concatenate([np.full_like(best[..., :1], -np.inf), best[..., :-1]], axis=-1)
    query = np.where(known > before, np.arange(fitness.shape[-1]), -1)
    return np.maximum.accumulate(query, axis=-1)


def at(curves: np.ndarray, spent: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Returns [N, P]: value of each curve at each point of the budget. A curve is a step function: it keeps its value
    until the next evaluation has ended.

    Args:
        curves: [N, Q].
        spent: [N, Q], increasing; NaN after the last query.
        grid: [P].
    """
    places = np.array([np.searchsorted(row, grid, side="right") for row in spent], dtype=np.int64) - 1
    places = np.minimum(places, np.isfinite(spent).sum(axis=1, keepdims=True) - 1)
    values = np.take_along_axis(curves, np.maximum(places, 0), axis=1)
    return np.where(places < 0, np.nan, values)


def band(curves: np.ndarray, spent: np.ndarray, grid: np.ndarray) -> Band:
    """Returns the summary of curves [N, Q] on a grid [P]; seeds without a value at a point are not counted there."""
    if curves.shape != spent.shape or curves.ndim != 2:
        raise SpecError(f"curves and what they cost must both be [N, Q]; they are {curves.shape} and {spent.shape}")
    if not (curves.size and len(grid)):
        empty = np.zeros(0)
        return Band(*[empty] * 8)
    return summed_up(grid, at(curves, spent, grid))


def summed_up(grid: np.ndarray, values: np.ndarray) -> Band:
    """Returns the summary of values [N, P], which are NaN where a seed has none.

    Mean -+ t s / sqrt(n), with n the number of seeds that have a value, s their standard deviation (n - 1 in the
    denominator) and t the 97.5 % quantile of Student's t with n - 1 degrees of freedom.
    """
    from scipy.special import stdtrit

    values = np.sort(values, axis=0)  # NaN last
    count = np.isfinite(values).sum(axis=0)
    some = np.maximum(count, 1)
    known = np.where(np.isfinite(values), values, 0)
    empty = np.where(count > 0, 0.0, np.nan)
    mean = known.sum(axis=0) / some + empty
    deviations = np.where(np.isfinite(values), values - np.nan_to_num(mean), 0)
    error = np.sqrt((deviations**2).sum(axis=0) / np.maximum(count - 1, 1) / some)
    reach = np.where(count > 1, stdtrit(np.maximum(count - 1, 1), 0.975) * error, 0)

    def quantile(part: float) -> np.ndarray:
        """Returns a quantile, linear between the two samples around it, as `np.quantile`, which is slow with NaN."""
        place = part * np.maximum(count - 1, 0)
        below = np.floor(place).astype(np.int64)
        above = np.minimum(below + 1, np.maximum(count - 1, 0))
        low, high = (np.take_along_axis(values, rows[None], axis=0)[0] for rows in (below, above))
        return low + (place - below) * (high - low) + empty

    return Band(grid, mean, mean - reach, mean + reach, quantile(0.5), quantile(0.25), quantile(0.75), count)
