"""Curves of many seeds as one: the fittest so far, looked at on a common grid of the budget, and summed up.

Shapes: N seeds, Q queries, P points of the grid.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from naslab.errors import SpecError


class Band(NamedTuple):
    """What N curves have in common, each field [P]; NaN where no seed has a value."""

    x: np.ndarray
    """The grid, in units of the budget."""
    mean: np.ndarray
    low: np.ndarray
    """Of the 95 % interval of the mean, by Student's t; the mean itself with one seed."""
    high: np.ndarray
    median: np.ndarray
    lower: np.ndarray
    """The lower quartile over the seeds: a quarter of them is below."""
    upper: np.ndarray
    seeds: np.ndarray
    """How many have a value."""


def incumbents(fitness: np.ndarray) -> np.ndarray:
    """[..., Q] int: the query, from 0, that found the fittest so far, of equals the first; -1 before any success.

    Args:
        fitness: [..., Q], NaN for what failed.
    """
    known = np.where(np.isnan(fitness), -np.inf, fitness)
    best = np.maximum.accumulate(known, axis=-1)
    before = np.concatenate([np.full_like(best[..., :1], -np.inf), best[..., :-1]], axis=-1)
    query = np.where(known > before, np.arange(fitness.shape[-1]), -1)
    return np.maximum.accumulate(query, axis=-1)


def at(curves: np.ndarray, spent: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """[N, P]: the value of each curve when so much had been spent; it stays until the next evaluation has ended.

    Args:
        curves: [N, Q].
        spent: [N, Q], rising; NaN after the last query.
        grid: [P].
    """
    places = np.array([np.searchsorted(row, grid, side="right") for row in spent], dtype=np.int64) - 1
    places = np.minimum(places, np.isfinite(spent).sum(axis=1, keepdims=True) - 1)
    values = np.take_along_axis(curves, np.maximum(places, 0), axis=1)
    return np.where(places < 0, np.nan, values)


def band(curves: np.ndarray, spent: np.ndarray, grid: np.ndarray) -> Band:
    """The curves [N, Q] on a grid [P], summed up over the seeds; a seed without a value there is not counted."""
    if curves.shape != spent.shape or curves.ndim != 2:
        raise SpecError(f"curves and what they cost must both be [N, Q]; they are {curves.shape} and {spent.shape}")
    if not (curves.size and len(grid)):
        empty = np.zeros(0)
        return Band(*[empty] * 8)
    return summed_up(grid, at(curves, spent, grid))


def summed_up(grid: np.ndarray, values: np.ndarray) -> Band:
    """The band of values [N, P]."""
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
        """Linear between the two samples around it, as `np.quantile`."""
        place = part * np.maximum(count - 1, 0)
        below = np.floor(place).astype(np.int64)
        above = np.minimum(below + 1, np.maximum(count - 1, 0))
        low, high = (np.take_along_axis(values, rows[None], axis=0)[0] for rows in (below, above))
        return low + (place - below) * (high - low) + empty

    return Band(grid, mean, mean - reach, mean + reach, quantile(0.5), quantile(0.25), quantile(0.75), count)
