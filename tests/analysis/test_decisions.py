"""How a controller's decision was learnt, against the events."""

import numpy as np
import pytest

import naslab as nl
from naslab.analysis import decision
from naslab.errors import SpecError


@pytest.fixture(scope="module")
def table():
    return nl.benchmarks.NASBench201()


def test_a_decision_of_a_policy(table):
    search = nl.Search(
        nl.searchers.NasRL(table.space, units=5, children=2, learning_rate=0.05, seed=0), estimator=table, budget=12
    )
    events = list(search)
    name = next(iter(events[-1].probabilities))
    found = decision(events, name, table.space)
    assert found.steps.tolist() == list(range(1, 13))
    assert found.options == table.space.next_choice(()).options
    assert np.allclose(found.probabilities[-1], events[-1].probabilities[name])
    row = events[5].probabilities[name].astype(float)
    assert found.entropy[5] == pytest.approx(-(row * np.log(row)).sum(), rel=1e-6)
    assert found.uniform == pytest.approx(1 / 5)
    assert found.entropy.max() <= found.most + 1e-9 == pytest.approx(np.log(5))
    assert found.values.size == 0
    assert decision(events, name, points=3).steps.tolist() == [1, 7, 12]
    assert decision(events, name).options == (0, 1, 2, 3, 4)
    with pytest.raises(SpecError, match="unknown decision 'edge'"):
        decision(events, "edge")


def test_a_decision_of_one_that_learns_values(table):
    search = nl.Search(nl.searchers.QLearning(table.space, seed=0), estimator=table, budget=8)
    events = list(search)
    name = next(iter(events[-1].probabilities))
    found = decision(events, name, table.space)
    assert found.values[-1].tolist() == pytest.approx(list(events[-1].details[f"q/{name}"]))
    assert np.allclose(found.probabilities.sum(axis=1), 1)


def test_who_decides_nothing_is_told_so(table):
    search = nl.Search(nl.searchers.RandomSearch(table.space), estimator=table, budget=2)
    with pytest.raises(SpecError, match="hold no decisions"):
        decision(list(search), "edge")
