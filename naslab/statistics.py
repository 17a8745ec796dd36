"""Confidence intervals, tests of a difference, and the correction for multiple testing.

A sample is one independent result, of one seed for instance. All functions expect finite numbers.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from naslab.errors import SpecError


class Outcome(NamedTuple):
    """Result of a test between two groups."""

    p: float
    """Two-sided p-value; NaN if it is undefined."""
    superiority: float
    """Probability that a sample of the first group is greater than one of the second, ties counting half: the effect
    size A of Vargha & Delaney 2000."""


def interval(samples: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Returns the confidence interval of the mean by Student's t distribution, mean -+ t s / sqrt(n).

    t is the quantile of n - 1 degrees of freedom, s the standard deviation with n - 1 in the denominator. NaN with
    fewer than two samples, or if all are equal: a deterministic method shows no spread, which is no certainty.
    """
    from scipy.special import stdtrit

    if len(samples) < 2 or agree(samples):
        return math.nan, math.nan
    mean = statistics.fmean(samples)
    error = statistics.stdev(samples, mean) / math.sqrt(len(samples))
    reach = float(stdtrit(len(samples) - 1, (1 + confidence) / 2)) * error
    return mean - reach, mean + reach


def agree(samples: Sequence[float]) -> bool:
    """True if all samples are equal up to rounding."""
    return max(samples) - min(samples) <= 1e-9 * max(1.0, abs(max(samples)))


def superiority(first: Sequence[float], second: Sequence[float]) -> float:
    """Returns A = P(x > y) + P(x = y) / 2 over all pairs of x of the first and y of the second group.

    By ranks, A = (R1 / n1 - (n1 + 1) / 2) / n2, with R1 the sum of the ranks of the first group, ties having mean ranks
    (Vargha & Delaney 2000).
    """
    from scipy.stats import rankdata

    ranks = rankdata([*first, *second])
    wins = float(ranks[: len(first)].sum()) - len(first) * (len(first) + 1) / 2
    return wins / (len(first) * len(second))


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> Outcome:
    """Mann-Whitney U test (Mann & Whitney 1947), two-sided. It uses ranks only, and so assumes no distribution. SciPy
    computes the p-value exactly for small groups without ties, and by the normal approximation otherwise.
    """
    from scipy.stats import mannwhitneyu

    _need(first, second)
    if agree([*first, *second]):
        return Outcome(p=1.0, superiority=0.5)
    return Outcome(p=float(mannwhitneyu(first, second).pvalue), superiority=superiority(first, second))


def welch(first: Sequence[float], second: Sequence[float]) -> Outcome:
    """Welch's t-test of the means (Welch 1947), two-sided, p = 2 F(-|t|); NaN with fewer than two samples in a group,
    or if neither has any spread.
    """
    from scipy.special import stdtr

    _need(first, second)
    if min(len(first), len(second)) < 2 or (agree(first) and agree(second)):
        return Outcome(p=math.nan, superiority=superiority(first, second))
    difference, error, freedom = welch_t(first, second)
    return Outcome(p=2 * float(stdtr(freedom, -abs(difference) / error)), superiority=superiority(first, second))


def welch_t(first: Sequence[float], second: Sequence[float]) -> tuple[float, float, float]:
    """Returns the difference of the means, its standard error and the degrees of freedom (Satterthwaite 1946).

    Each group needs at least two samples. With n samples of mean m and variance s^2 in a group,

    t = (m1 - m2) / sqrt(v1 + v2),   freedom = (v1 + v2)^2 / (v1^2 / (n1 - 1) + v2^2 / (n2 - 1)),
    v = s^2 / n
    """
    v1, v2 = (statistics.variance(samples) / len(samples) for samples in (first, second))
    freedom = (v1 + v2) ** 2 / (v1**2 / (len(first) - 1) + v2**2 / (len(second) - 1))
    return statistics.fmean(first) - statistics.fmean(second), math.sqrt(v1 + v2), freedom


def least_p(first: int, second: int) -> float:
    """Returns the smallest two-sided p-value of a rank test with groups of these sizes: 2 / binomial(n + m, n), for one
    of the equally likely orders has the whole first group above the second, and one has it below.
    """
    return min(1.0, 2 / math.comb(first + second, first))


def holm(p: Sequence[float]) -> list[float]:
    """Returns p-values corrected for multiple testing by Holm's step-down method (Holm 1979).

    The probability of one or more false rejections among all tests stays below the level (the family-wise error rate).
    With k tests in the order of their p, p'_(i) = max over j <= i of min(1, (k - j + 1) p_(j)). NaN stays NaN and is
    not counted.
    """
    order = sorted((i for i in range(len(p)) if not math.isnan(p[i])), key=lambda i: p[i])
    raised, highest = [math.nan] * len(p), 0.0
    for place, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - place) * p[i]))
        raised[i] = highest
    return raised


def _need(first: Sequence[float], second: Sequence[float]) -> None:
    if not len(first) or not len(second):
        raise SpecError(f"a test needs samples in both groups; there are {len(first)} and {len(second)}")
