"""Is something more frequent in one group than in another? An exact test of totals by permutation.

With the counts of n found and m random samples in one urn, n of them are drawn without replacement. The p of
enrichment is the probability that their total is at least the found one, that of depletion that it is at most that.
For counts of 0 and 1 it is Fisher's exact test (1935). Two-sided is twice the smaller one, at most 1.

The distribution of the total is exact: value after value, how many of the samples that have it are drawn is
hypergeometric.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from naslab.errors import SpecError


class Tails(NamedTuple):
    """Of the total of the found samples."""

    more: float
    """P(total >= found)."""
    fewer: float
    """P(total <= found)."""

    @property
    def p(self) -> float:
        """Two-sided."""
        return min(1.0, 2 * min(self))


def tails(found: Sequence[int] | np.ndarray, random: Sequence[int] | np.ndarray) -> Tails:
    """Both tails for whole numbers from 0 up, of n and m samples."""
    first, second = np.asarray(found, dtype=np.int64), np.asarray(random, dtype=np.int64)
    if not len(first) or not len(second) or min(first.min(), second.min()) < 0:
        raise SpecError("the test needs counts from 0 up, at least one in each group")
    return _tails(int(first.sum()), len(first), np.concatenate([first, second]))


def _tails(total: int, drawn: int, urn: np.ndarray) -> Tails:
    from scipy.stats import hypergeom

    values, copies = np.unique(urn, return_counts=True)
    if len(values) == 1:
        return Tails(1.0, 1.0)
    if len(values) == 2 and values[0] == 0:
        many = total // int(values[1])
        urned = hypergeom(len(urn), int(copies[1]), drawn)
        return Tails(float(urned.sf(many - 1)), float(urned.cdf(many)))
    left, chances = len(urn), np.zeros((drawn + 1, 1))  # [still to draw, total so far]
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
