"""Zero-cost proxies: scores of an untrained network, from one mini-batch and in seconds.

    scores(network, x, y)                            all proxies, with shared passes
    ZeroCost(space, task, "naswot")                  one proxy as an estimator, for any space and searcher

All are signed so that higher is better. The network has its initial weights; batch normalisation uses the statistics of
the mini-batch. The rank correlation of a proxy with trained accuracy differs between spaces; measure it with
`naslab.analysis.ranking` before relying on it.
"""

from typing import TYPE_CHECKING

from naslab.lazy import attach

if TYPE_CHECKING:
    from naslab.estimators.zero_cost.estimator import ZeroCost
    from naslab.estimators.zero_cost.passes import Need
    from naslab.estimators.zero_cost.proxies import NEEDS, PROXIES, scores
    from naslab.estimators.zero_cost.vote import VOTERS, vote, votes

__getattr__, __dir__ = attach(__name__)


__all__ = ["NEEDS", "PROXIES", "VOTERS", "Need", "ZeroCost", "scores", "vote", "votes"]
