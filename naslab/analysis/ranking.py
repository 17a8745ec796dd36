"""What a ranking is worth: the scores of some architectures against what they are truly worth.

    Ranking.of(scores, truth)    Kendall's tau, Spearman's rho, overlap of the best k, regret of the best k

More is better in both. Intervals are percentile bootstraps over the architectures: how much the figure would change
with another sample of as many. They say nothing of other seeds of the scores. Equal values share their rank (tau-b,
mean ranks); where a tie straddles the k-th place, overlap and regret are the expectation over a fair draw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb
from typing import NamedTuple

import numpy as np

from naslab.errors import SpecError, real, whole
from naslab.immutable import Record
from naslab.randomness import numpy_generator

Values = Sequence[float] | np.ndarray


class Interval(NamedTuple):
    """A figure and the ends of its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking(Record):
    """How well scores rank."""

    count: int
    """Architectures compared."""
    top: int
    """k: how many are the best."""
    kendall: Interval
    """tau-b, in [-1, 1]: pairs in the same order less pairs in the other, over all pairs."""
    spearman: Interval
    """rho, in [-1, 1]: the correlation of the ranks."""
    overlap: Interval
    """Part of the k truly best that are among the k best by score, in [0, 1]; chance is k / count."""
    regret: Interval
    """What the truly best of the k best by score lacks to the best of all, in the units of the truth; 0 is perfect."""

    @classmethod
    def of(
        cls,
        scores: Values,
        truth: Values,
        *,
        top: int = 10,
        resamples: int = 1000,
        confidence: float = 0.95,
        seed: int = 0,
    ) -> Ranking:
        """The figures of N scores.

        Args:
            scores: [N], of an estimator.
            truth: [N], for instance `table.query_many(architectures)`.
            top: k.
            resamples: of the bootstrap; 0 spares the time, and leaves the ends of the intervals NaN.
            confidence: of the intervals.
            seed: of the bootstrap.
        """
        s, t = _paired(scores, truth)
        top, resamples = whole("top", top, 1), whole("resamples", resamples)
        if top > len(s):
            raise SpecError(f"top={top} of {len(s)} architectures is more than there are; give a smaller top")
        if not 0 < real("confidence", confidence) < 1:
            raise SpecError(f"confidence is between 0 and 1, for instance 0.95, not {confidence!r}")
        drawn = numpy_generator(whole("seed", seed), "bootstrap").integers(len(s), size=(resamples, len(s)))
        ends = 50 * (1 - confidence), 50 * (1 + confidence)

        def interval(figure: Callable[[np.ndarray, np.ndarray], float]) -> Interval:
            again = np.array([figure(s[rows], t[rows]) for rows in drawn])
            again = again[np.isfinite(again)]  # a resample of one architecture only has no correlation
            low, high = np.percentile(again, ends) if len(again) else (np.nan, np.nan)
            return Interval(figure(s, t), float(low), float(high))

        return cls(
            count=len(s),
            top=top,
            kendall=interval(kendall),
            spearman=interval(spearman),
            overlap=interval(lambda a, b: overlap(a, b, top)),
            regret=interval(lambda a, b: regret(a, b, top)),
        )


def kendall(scores: np.ndarray, truth: np.ndarray) -> float:
    """tau-b; NaN if either is constant."""
    from scipy.stats import kendalltau  # here, for it takes its time to load

    return float(kendalltau(scores, truth).statistic)


def spearman(scores: np.ndarray, truth: np.ndarray) -> float:
    """rho; NaN if either is constant."""
    from scipy.stats import rankdata

    a, b = rankdata(scores), rankdata(truth)
    a, b = a - a.mean(), b - b.mean()
    length = np.sqrt((a @ a) * (b @ b))
    return float(np.clip(a @ b / length, -1, 1)) if length else np.nan


def overlap(scores: np.ndarray, truth: np.ndarray, top: int) -> float:
    """Part of the best by truth that are among the best by score. What is tied at the edge of both counts with the
    smaller of its two chances, so that a ranking agrees with itself."""
    return float(np.minimum(_share(scores, top), _share(truth, top)).sum()) / top


def regret(scores: np.ndarray, truth: np.ndarray, top: int) -> float:
    """Best truth of all less the best truth among the best by score."""
    share = _share(scores, top)
    sure, tied = truth[share == 1], np.sort(truth[(share > 0) & (share < 1)])[::-1]
    places = top - len(sure)
    best = sure.max(initial=-np.inf)
    if not len(tied):
        return float(truth.max() - best)
    chances = [comb(len(tied) - place, places - 1) / comb(len(tied), places) for place in range(1, len(tied) + 1)]
    return max(0.0, float(truth.max() - np.maximum(tied, best) @ chances))


def _share(values: np.ndarray, top: int) -> np.ndarray:
    """[N]: the chance of each to be among the `top` greatest, if a fair draw parts equals."""
    edge = np.sort(values)[-top]
    above, at = values > edge, values == edge
    return above + at * ((top - above.sum()) / at.sum())


def _paired(scores: Values, truth: Values) -> tuple[np.ndarray, np.ndarray]:
    """Both as [N] float64, if there is something to compare."""
    pair = []
    for name, values in (("scores", scores), ("truth", truth)):
        try:
            array = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise SpecError(f"{name} must be numbers, one an architecture, not {values!r:.200}") from None
        if array.ndim != 1:
            raise SpecError(f"{name} must be a list of numbers, one an architecture, not of shape {array.shape}")
        if np.isnan(array).any():
            raise SpecError(
                f"{name} {np.flatnonzero(np.isnan(array))[:5].tolist()} are NaN, which has no rank: leave these "
                "architectures out of both"
            )
        pair.append(array)
    s, t = pair
    if len(s) != len(t):
        raise SpecError(f"every score has one truth: got {len(s)} scores and {len(t)} truths")
    if len(s) < 2:
        raise SpecError(f"a ranking takes at least two architectures, not {len(s)}")
    if not np.isfinite(t).all():
        raise SpecError("the truth must be finite; leave out architectures whose worth is not known")
    for name, array in (("scores", s), ("truth", t)):
        if (array == array[0]).all():
            raise SpecError(f"all {len(s)} {name} are {array[0]:g}: what is equal cannot be ranked")
    return s, t
