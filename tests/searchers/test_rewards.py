import pytest

import naslab as nl
from naslab.estimators import Score
from naslab.quantities import Objective
from naslab.searchers.rewards import Baseline, Rewards


def test_the_baseline_in_closed_form():
    rewards, momentum, baseline = [3.0, -1.0, 4.0, 1.5], 0.7, Baseline(0.7)
    assert baseline.value is None
    for n, reward in enumerate(rewards, start=1):
        baseline.update(reward)
        weights = [momentum ** (n - i) for i in range(1, n + 1)]
        expected = sum(w * r for w, r in zip(weights, rewards, strict=False)) / sum(weights)
        assert baseline.value == pytest.approx(expected)


def test_cubed_prefers_the_last_epochs():
    assert Rewards("cubed").update(0.5, {}) == pytest.approx(0.125)
    assert Rewards("cubed").update(0.5, {"best_valid_accuracy": 0.4}) == pytest.approx(0.064)
    assert Rewards().update(0.5, {"best_valid_accuracy": 0.4}) == 0.5


def test_cubed_reads_the_objective_in_its_direction():
    bits, score = Objective("bits", "min"), Objective("f1", "max")
    figures = {"best_valid_bits": 2.0, "best_valid_f1": 0.5, "best_valid_accuracy": 0.9}
    assert Rewards("cubed").update(-3.0, figures, bits) == -8.0
    assert Rewards("cubed").update(0.1, figures, score) == 0.125
    assert Rewards("cubed").update(-3.0, {"best_valid_accuracy": 0.9}, bits) == -27.0, "an accuracy is not bits"


def test_a_search_tells_its_proposer_what_is_measured():
    space = nl.spaces.NASBench201()

    class Bits:
        objectives = (Objective("bits", "min"),)

        def __init__(self):
            self.space = space

        def __call__(self, architecture):
            return Score(values={"bits": 3.0, "best_valid_bits": 2.0}, objectives=self.objectives)

    sampler = nl.searchers.NasRL(space, reward="cubed")
    next(nl.Search(sampler, estimator=Bits(), budget=2))
    assert sampler.rewards.last == -8.0


def test_a_failure_is_worth_the_least_so_far():
    rewards = Rewards()
    assert rewards.update(None, {}) is None
    for fitness in (5.0, -2.0, 7.0):
        rewards.update(fitness, {})
    assert rewards.update(None, {}) == -2.0
    assert rewards.last == 7.0, "a failure has no reward of its own"


@pytest.mark.parametrize(("kind", "fitness"), [("fitness", 1e31), ("fitness", -1e308), ("cubed", 1e200)])
def test_what_no_float_holds_is_left_out(kind, fitness):
    rewards = Rewards(kind)
    rewards.update(1.0, {})
    assert rewards.update(fitness, {}) is None
    assert rewards.state_dict() == [1.0, 1.0, 1]
