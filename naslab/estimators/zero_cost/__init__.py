"""Zero-cost proxies: scores of an untrained network, from one mini-batch and in seconds.

    scores(network, x, y)                            all of them, passes shared
    ZeroCost(space, task, "naswot")                  one of them as an estimator, for any space and any search

All are signed such that more is better. The weights are as the network was initialised; batch normalisation uses the
mini-batch. How well each ranks what training would rank is measured by `naslab.analysis.ranking`, and differs between
spaces: look before you trust.
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
