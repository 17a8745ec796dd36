"""Estimators by the names that they had before: they work for one version, and warn."""

from __future__ import annotations

import warnings

import pytest

import naslab as nl
from naslab.errors import NaslabDeprecationWarning, SpecError
from naslab.estimators import Estimator, LatencyReward, Learning, LearningCurve, Resources, Score, Table, as_estimator
from naslab.estimators.wrapped import Wrapped


@pytest.fixture(scope="module")
def benchmark():
    return nl.benchmarks.NASBench201("cifar10")


def old(text):
    return pytest.warns(NaslabDeprecationWarning, match=text)


def test_metrics_were_called_figures(benchmark):
    with old(r"Score\(figures=...\) is now called Score\(metrics"):
        score = Score(0.5, figures={"flops": 3.0})
    assert score == Score(0.5, {"flops": 3.0}) == Score(0.5, metrics={"flops": 3.0})
    with old("Score.figures"):
        assert score.figures == {"flops": 3.0}
    with old("Score.but"):
        assert score.but(figures={"flops": 4.0}) == Score(0.5, {"flops": 4.0})
    with old("Table"):
        table = Table(benchmark, figures=["flops"])
    with old("Table.figures"):
        assert table.figures == table.metrics == ("flops",)
    assert table.spec()["figures"] == ["flops"], "run folders keep the key"
    assert Table.from_spec(table.spec()).metrics == ("flops",)
    with old("LatencyReward"):
        reward = LatencyReward(table, 3.0, figure="flops")
    assert (reward.metric, reward.spec()["figure"]) == ("flops", "flops")
    space, task = nl.spaces.NASBench201(channels=2, cells=1), nl.tasks.Digits()
    with old("Resources"):
        resources = Resources(space, task, figures=["parameters"])
    with old("Resources.figures"):
        assert resources.figures == resources.metrics == ("parameters",)
    assert Resources.from_spec(resources.spec(), task).metrics == ("parameters",)


def test_an_estimator_that_learns_by_the_earlier_names_learns(benchmark):
    class Shy:
        """Counts the candidates that it was told of."""

        name = "shy"
        space = benchmark.space

        def __init__(self, known=0):
            self.known = known

        def __call__(self, architecture):
            return Score(float(self.known), {"known": self.known})

        def hear(self, figures):
            return Shy(self.known + 1)

        def memory(self):
            return [self.known]

        def remember(self, memory):
            return Shy(*memory)

        def spec(self):
            return {"estimator": self.name}

        def fingerprint(self):
            return "0"

    assert isinstance(Shy(), Estimator)
    assert not isinstance(Shy(), Learning)
    with pytest.warns(NaslabDeprecationWarning) as caught:
        shy = as_estimator(Shy())
    assert {str(each.message).split(" is now called ")[0].rpartition(".")[2] for each in caught} == {
        "hear",
        "memory",
        "remember",
    }
    assert isinstance(shy, Learning)
    assert shy.with_state([3]).update({}).state_dict() == [4]
    search = nl.Search(nl.searchers.RandomSearch(benchmark.space, seed=0), estimator=Shy(5), budget=3)
    assert [event.fitness for event in search] == [0, 1, 2], "a search begins with an estimator that knows nothing"


def test_a_subclass_by_the_earlier_names_is_asked(benchmark):
    with old("hear is now called update"):

        class Loud(LearningCurve):
            heard = 0

            def hear(self, figures):
                Loud.heard += 1
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", NaslabDeprecationWarning)
                    return super().hear(figures)

    curve = Loud(Table(benchmark, "valid_accuracy"), 12, every=12, first=3)
    assert isinstance(curve.update({}), Loud)
    assert Loud.heard == 1

    class Around(Wrapped):
        name = "around"
        judge = options = None

    Around.__abstractmethods__ = frozenset()
    assert Around(curve).update({}).inside is curve
    assert Loud.heard == 2
    with pytest.raises(SpecError, match="has a fitness and metrics, or values"):
        Score(0.5, values={"fitness": 1.0})
