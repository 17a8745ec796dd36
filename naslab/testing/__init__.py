"""Checks that a space, a searcher, an estimator, a task or a metric of any package must pass: write one small class.

    from naslab.testing import SpaceCase

    class TestMySpace(SpaceCase):
        def make(self):
            return MySpace(channels=4)

pytest then runs some thirty checks of sampling, mutation, codes, JSON, networks, graphs and masks. `SearcherCase`,
`EstimatorCase`, `TaskCase` and `MetricCase` work alike; each says in its docstring what else a subclass may tell it.
naslab's own spaces, searchers, estimators and tasks pass the same checks.

The cases are plain classes with plain assertions: pytest is not needed, nor its rewriting of assertions. What fails
says what was expected, what came, and mostly what to do.
"""

from naslab.testing.case import Case, needs
from naslab.testing.estimator import EstimatorCase
from naslab.testing.metric import MetricCase
from naslab.testing.searcher import SearcherCase
from naslab.testing.space import SpaceCase
from naslab.testing.task import TaskCase

__all__ = ["Case", "EstimatorCase", "MetricCase", "SearcherCase", "SpaceCase", "TaskCase", "needs"]
