"""How sure one can be of a difference: intervals, tests, and what many tests at once do to them.

A sample is one independent outcome, a seed for instance; all functions want finite numbers.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from naslab.errors import SpecError


class Outcome(NamedTuple):
    """Two groups against each other."""

    p: float
    """Two-sided; NaN where the samples cannot tell."""
    superiority: float
    """Probability that a sample of the first group is the greater, ties counting half (Vargha & Delaney 2000)."""


def interval(samples: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Interval of the mean by Student's t, mean -+ t s / sqrt(n); NaN where the samples say nothing of their spread."""
    from scipy.special import stdtrit

    if len(samples) < 2 or agree(samples):
        return math.nan, math.nan
    mean = statistics.fmean(samples)
    error = statistics.stdev(samples, mean) / math.sqrt(len(samples))
    reach = float(stdtrit(len(samples) - 1, (1 + confidence) / 2)) * error
    return mean - reach, mean + reach


def agree(samples: Sequence[float]) -> bool:
    """Whether all are the same number, up to rounding."""
    return max(samples) - min(samples) <= 1e-9 * max(1.0, abs(max(samples)))


def superiority(first: Sequence[float], second: Sequence[float]) -> float:
    """P(x > y) + P(x = y) / 2 for x of the first and y of the second, over all pairs."""
    from scipy.stats import rankdata

    ranks = rankdata([*first, *second])
    wins = float(ranks[: len(first)].sum()) - len(first) * (len(first) + 1) / 2
    return wins / (len(first) * len(second))


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> Outcome:
    """Mann and Whitney's test of ranks (1947): no assumption on the shape. Exact for small groups without ties."""
    from scipy.stats import mannwhitneyu

    _need(first, second)
    if agree([*first, *second]):
        return Outcome(p=1.0, superiority=0.5)
    return Outcome(p=float(mannwhitneyu(first, second).pvalue), superiority=superiority(first, second))


def welch(first: Sequence[float], second: Sequence[float]) -> Outcome:
    """Welch's t-test (1947) of the means; NaN with fewer than two samples in a group, or no spread in either."""
    from scipy.special import stdtr

    _need(first, second)
    if min(len(first), len(second)) < 2 or (agree(first) and agree(second)):
        return Outcome(p=math.nan, superiority=superiority(first, second))
    difference, error, freedom = welch_t(first, second)
    return Outcome(p=2 * float(stdtr(freedom, -abs(difference) / error)), superiority=superiority(first, second))


def welch_t(first: Sequence[float], second: Sequence[float]) -> tuple[float, float, float]:
    """Difference of the means, its standard error and the degrees of freedom (Satterthwaite 1946); two samples or more.

    t = (m1 - m2) / sqrt(v1 + v2),   freedom = (v1 + v2)^2 / (v1^2 / (n1 - 1) + v2^2 / (n2 - 1)),
    v = s^2 / n
    """
    v1, v2 = (statistics.variance(samples) / len(samples) for samples in (first, second))
    freedom = (v1 + v2) ** 2 / (v1**2 / (len(first) - 1) + v2**2 / (len(second) - 1))
    return statistics.fmean(first) - statistics.fmean(second), math.sqrt(v1 + v2), freedom


def least_p(first: int, second: int) -> float:
    """The smallest two-sided p that a test of ranks can give with so many samples."""
    return min(1.0, 2 / math.comb(first + second, first))


def holm(p: Sequence[float]) -> list[float]:
    """The p of several tests, raised so that the chance of any false alarm among them stays what it says (Holm 1979).

    NaN stays NaN and is not counted.
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
