"""vote: majority vote of synflow, jacob_cov and snip between two networks (Abdelfattah et al. 2021,
https://arxiv.org/abs/2101.08134, Sec. 4.1).

A majority vote compares two networks, and gives no score for one. The score of a network is therefore the share of a
population that it wins against; a draw counts half.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from naslab.errors import SpecError

VOTERS = ("synflow", "jacob_cov", "snip")


def vote(candidate: Mapping[str, float], population: Mapping[str, np.ndarray]) -> float:
    """Returns the share of the population that the candidate wins against, in [0, 1].

    Args:
        candidate: proxy -> score.
        population: proxy -> scores [N] of N networks, for the same proxies.
    """
    if not population or set(candidate) != set(population):
        raise SpecError(f"the same proxies must vote on both: {sorted(candidate)} and {sorted(population)}")
    scores = {name: np.asarray(values, dtype=np.float64) for name, values in population.items()}
    if len({values.shape for values in scores.values()}) > 1 or next(iter(scores.values())).size == 0:
        raise SpecError("every proxy must have scored the same networks, and at least one")
    if any(np.isnan(values).any() for values in scores.values()) or np.isnan(list(candidate.values())).any():
        raise SpecError("a score is NaN, which is neither better nor worse than another: leave that network out")
    preferences = sum(np.sign(candidate[name] - values) for name, values in scores.items())
    return float((1 + np.sign(preferences)).mean() / 2)


def votes(population: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns `vote` of each network of the population against the population, [N]."""
    names = list(population)
    rows = np.column_stack([population[name] for name in names])
    return np.array([vote(dict(zip(names, row, strict=True)), population) for row in rows.tolist()])
