"""Quality of a ranking: scores of architectures compared to their true values.

    Ranking.of(scores, truth)    Kendall's tau-b, Spearman's rho, overlap of the top k, regret of the top k

More is better in scores and truth. The intervals are percentile bootstraps over the architectures (Efron 1979): how
much a statistic would vary with another sample of the same size. They say nothing about other seeds of the scores. Ties
share their rank (tau-b, mean ranks); if a tie straddles the k-th place, overlap and regret are expectations over a
random order of the tied architectures.
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
    """A statistic and the ends of its confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking(Record):
    """Statistics of a ranking by scores."""

    count: int
    """Number of architectures."""
    top: int
    """k of overlap and regret."""
    kendall: Interval
    """Kendall's tau-b, in [-1, 1]: (concordant - discordant pairs) / sqrt((P - ties in scores) (P - ties in truth)),
    with P the number of pairs (Kendall 1945)."""
    spearman: Interval
    """Spearman's rho, in [-1, 1]: Pearson correlation of the ranks (Spearman 1904)."""
    overlap: Interval
    """Share of the true top k that are in the top k by score, in [0, 1]; chance level is k / count."""
    regret: Interval
    """Best true value minus the best true value among the top k by score, in the unit of the truth; 0 is perfect."""

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
        """Returns the statistics of N scores.

        Args:
            scores: [N], scores of an estimator.
            truth: [N], true values, for instance `table.query_many(architectures)`.
            top: k of overlap and regret.
            resamples: number of bootstrap resamples; with 0, the ends of the intervals are NaN.
            confidence: confidence level of the intervals.
            seed: seed of the bootstrap.

        Raises:
            SpecError: fewer than two architectures, a NaN, or all scores or all true values equal.
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
            resampled = np.array([figure(s[rows], t[rows]) for rows in drawn])
            resampled = resampled[np.isfinite(resampled)]  # a resample of a single architecture has no correlation
            low, high = np.percentile(resampled, ends) if len(resampled) else (np.nan, np.nan)
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
    """Returns Kendall's tau-b; NaN if either is constant."""
    from scipy.stats import kendalltau  # imported here, because scipy.stats is slow to load

    return float(kendalltau(scores, truth).statistic)


def spearman(scores: np.ndarray, truth: np.ndarray) -> float:
    """Returns Spearman's rho; NaN if either is constant."""
    from scipy.stats import rankdata

    a, b = rankdata(scores), rankdata(truth)
    a, b = a - a.mean(), b - b.mean()
    length = np.sqrt((a @ a) * (b @ b))
    return float(np.clip(a @ b / length, -1, 1)) if length else np.nan


def overlap(scores: np.ndarray, truth: np.ndarray, top: int) -> float:
    """Returns the share of the true top k that are in the top k by score. An architecture that is tied at the edge of
    both counts with the smaller of its two probabilities, so that a ranking has overlap 1 with itself.
    """
    return float(np.minimum(_share(scores, top), _share(truth, top)).sum()) / top


def regret(scores: np.ndarray, truth: np.ndarray, top: int) -> float:
    """Returns the best true value minus the expected best true value in the top k by score."""
    share = _share(scores, top)
    sure, tied = truth[share == 1], np.sort(truth[(share > 0) & (share < 1)])[::-1]
    places = top - len(sure)
    best = sure.max(initial=-np.inf)
    if not len(tied):
        return float(truth.max() - best)
    # Of m tied architectures, r fill the remaining places at random. The j-th best of them is the best that was taken
    # with probability binomial(m - j, r - 1) / binomial(m, r): the other r - 1 are among those below it.
    chances = [comb(len(tied) - place, places - 1) / comb(len(tied), places) for place in range(1, len(tied) + 1)]
    return max(0.0, float(truth.max() - np.maximum(tied, best) @ chances))


def _share(values: np.ndarray, top: int) -> np.ndarray:
    """Returns [N]: probability of each to be among the `top` largest, if ties are broken at random."""
    edge = np.sort(values)[-top]
    above, at = values > edge, values == edge
    return above + at * ((top - above.sum()) / at.sum())


def _paired(scores: Values, truth: Values) -> tuple[np.ndarray, np.ndarray]:
    """Returns both as [N] float64; `SpecError` if they cannot be compared."""
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
