"""What every searcher promises: it is repeated bit for bit, steered, and found again in a run folder.

The checks stand in files by what they are about: `searcher_replay`, `searcher_steering`, `searcher_runs`, and
`sampler_checks` for searchers that only propose.
"""

from __future__ import annotations

from naslab.testing.sampler_checks import SamplerChecks
from naslab.testing.searcher_replay import ReplayChecks
from naslab.testing.searcher_runs import RunChecks
from naslab.testing.searcher_steering import SteeringChecks


class SearcherCase(ReplayChecks, SteeringChecks, RunChecks, SamplerChecks):
    """Checks of a searcher, whether it trains shared weights or only proposes architectures.

        class TestMySearcher(SearcherCase):
            other = {"population": 8}
            nonsense = ({"seed": -1}, {"population": 0})

            def make(self, **given):
                return MySearcher(MySpace(), **{"population": 4, **given})

    `make` gives a fresh searcher, as small as it can be; it is called with `seed=`, and with the hyperparameters that
    `other` and `nonsense` name. A searcher that proposes is told what its candidates are worth by `estimator`, which by
    default is a checksum of the architecture. A subclass may also say `steps`, how many show all that the searcher
    does; `change`, a setting with another value for it; and `deterministic`, if no seed makes a difference.
    """
