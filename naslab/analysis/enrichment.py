"""Enrichment: an exact permutation test of whether counts are larger in one group than in another.

Under the null hypothesis, the n found samples are drawn without replacement from all n + m samples, found and random.
The p-value of enrichment is the probability that the total of their counts is at least the observed one, that of
depletion that it is at most that. For counts of 0 and 1 this is Fisher's exact test (Fisher 1935). The two-sided p is
twice the smaller one, at most 1.

The distribution of the total is computed exactly, one distinct value of the counts after the other: given the number of
samples still to draw, the number of drawn samples with that value is hypergeometric.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from naslab.errors import SpecError


class Tails(NamedTuple):
    """One-sided p-values of the total of the found samples."""

    more: float
    """P(total >= found)."""
    fewer: float
    """P(total <= found)."""

    @property
    def p(self) -> float:
        """Two-sided p-value."""
        return min(1.0, 2 * min(self))


def tails(found: Sequence[int] | np.ndarray, random: Sequence[int] | np.ndarray) -> Tails:
    """Returns both tails.

    Args:
        found: [n] non-negative integers.
        random: [m] non-negative integers.
    """
    first, second = np.asarray(found, dtype=np.int64), np.asarray(random, dtype=np.int64)
    if not len(first) or not len(second) or min(first.min(), second.min()) < 0:
        raise SpecError("the test needs counts from 0 up, at least one in each group")
    return _tails(int(first.sum()), len(first), np.concatenate([first, second]))


def _tails(total: int, drawn: int, urn: np.ndarray) -> Tails:
    from scipy.stats import hypergeom

    values, copies = np.unique(urn, return_counts=True)
    if len(values) == 1:
        return Tails(1.0, 1.0)
    if len(values) == 2 and values[0] == 0:  # Fisher's exact test, in closed form
        many = total // int(values[1])
        urned = hypergeom(len(urn), int(copies[1]), drawn)
        return Tails(float(urned.sf(many - 1)), float(urned.cdf(many)))
    # chances[d, s]: probability that, after the values so far, d samples are still to draw and the total is s.
    left, chances = len(urn), np.zeros((drawn + 1, 1))
    chances[drawn, 0] = 1
    for value, many in zip(values.tolist(), copies.tolist(), strict=True):
        most = min(drawn, many)
        after = np.zeros((drawn + 1, chances.shape[1] + most * value))
        taken = np.arange(most + 1)
        for to_draw in range(drawn + 1):
            if chances[to_draw].any():
                for k, chance in zip(taken.tolist(), hypergeom.pmf(taken, left, many, to_draw).tolist(), strict=True):
                    if chance > 0 and k <= to_draw:
                        after[to_draw - k, k * value : k * value + chances.shape[1]] += chance * chances[to_draw]
        chances, left = after, left - many
    totals = chances[0]
    return Tails(min(1.0, float(totals[total:].sum())), min(1.0, float(totals[: total + 1].sum())))
