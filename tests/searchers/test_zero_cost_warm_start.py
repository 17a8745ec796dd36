"""AREA: the population that it begins with."""

import numpy as np
import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.estimators import ZeroCost
from naslab.randomness import numpy_generator
from naslab.searchers import RegularizedEvolution
from naslab.searchers.zero_cost_warm_start import zero_cost_warm_start


@pytest.fixture(scope="module")
def table():
    return nl.benchmarks.NASBench201()


def test_it_is_the_best_of_the_sample_in_the_order_of_the_draws(table):
    score = nl.estimators.Table(table, "flops")  # less is better, so the score is negative
    chosen = zero_cost_warm_start(table.space, score, population=10, sampled=40, seed=3)
    rng, drawn = numpy_generator(3, "zero_cost_warm_start"), []
    while len(drawn) < 40:
        if (one := table.space.sample(rng)) not in drawn:
            drawn.append(one)
    best = sorted(drawn, key=score, reverse=True)[:10]
    assert list(chosen) == [one for one in drawn if one in best]
    assert zero_cost_warm_start(table.space, score, population=10, seed=3) != chosen  # of twenty


@pytest.mark.slow
def test_without_training_it_begins_better_than_at_random(table):
    """NASWOT on small networks and eight images, against the published accuracies."""
    small = nl.spaces.NASBench201(channels=4, cells=1)
    naswot = ZeroCost(small, nl.tasks.Digits(), "naswot", batch_size=8)
    begun, random = [], []
    for seed in range(3):
        first = zero_cost_warm_start(small, naswot, population=8, sampled=32, seed=seed)
        begun.append(np.median(table.query_many(first)))
        rng = np.random.default_rng(seed)
        random.append(np.median(table.query_many([table.space.sample(rng) for _ in range(200)])))
    assert np.mean(begun) > np.mean(random) + 1.5
    sampler = RegularizedEvolution(table.space, population=8, sample=3, first=first)
    assert tuple(sampler.ask().architecture for _ in range(8)) == first


def test_what_cannot_be_scored_is_left_out(table):
    fails = lambda one: None if "none" in one.choices else float(one.choices.count("skip_connect"))  # noqa: E731
    chosen = zero_cost_warm_start(table.space, fails, population=4, sampled=60, seed=1)
    assert len(chosen) == 4
    assert not any("none" in one.choices for one in chosen)
    with pytest.raises(SpecError, match="could score none of 8 architectures: the estimator returned None"):
        zero_cost_warm_start(table.space, lambda one: None, population=4)


def test_a_small_space_gives_what_it_has(tree):
    chosen = zero_cost_warm_start(tree, lambda one: 1.0, population=26, sampled=40)
    assert len(set(chosen)) == 26


@pytest.mark.parametrize("given", [{"population": 0}, {"population": 5, "sampled": 4}, {"population": 2, "seed": -1}])
def test_nonsense_is_refused(table, given):
    with pytest.raises(SpecError):
        zero_cost_warm_start(table.space, table_score, **given)


def table_score(architecture):
    return 1.0
