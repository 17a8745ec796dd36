"""EPNAS: growth, what the controller answers for, the predictor, and constraints."""

import itertools

import numpy as np
import pytest
import torch

import naslab as nl
from naslab.estimators import Penalised, Table
from naslab.searchers import EPNAS, BlackBoxSearch, RandomSearch
from naslab.searchers.epnas import Child, layer_of
from naslab.searchers.predictor import LEAST, Predictor
from naslab.spaces.metaqnn import STOP

SMALL = dict(units=6, children=2, per_layer=6, imagined=4, parents=2)


def told(sampler, worth, count):
    trials = []
    for _ in range(count):
        trials.append(sampler.ask())
        sampler.tell(trials[-1], worth(trials[-1].architecture))
    return trials


# --- growth -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_networks_grow_a_layer_at_a_time_from_the_best():
    space = nl.spaces.ChainSkips(layers=4, channels=8, kernels=(1, 3, 5), filters=(1, 2), strides=(1, 2))
    worth = lambda one: float(one.choices.count(3) - 0.1 * one.choices.count(5))  # noqa: E731
    trials = told(EPNAS(space, seed=1, **SMALL), worth, 30)
    depths = [len(space.layers_of(trial.architecture)) for trial in trials]
    assert depths[:24] == [depth for depth in (1, 2, 3, 4) for _ in range(6)]
    assert {trial.origin for trial in trials[6:24]} == {"grown"}
    for depth in (2, 3, 4):
        before = trials[6 * depth - 12 : 6 * depth - 6]
        best = sorted(before, key=lambda one: -worth(one.architecture))[:2]
        beginnings = [one.architecture.choices[:-1] for one in best] if depth < 5 else ()
        for child in trials[6 * depth - 6 : 6 * depth]:
            assert any(child.architecture.choices[: len(old)] == old for old in beginnings)
    assert {trial.origin for trial in trials[24:]} == {"decided anew"}  # all layers are there: the first again


def test_where_the_length_is_given_a_child_differs_from_a_parent_in_one_layer(benchmark):
    space = benchmark.space
    searcher = EPNAS(space, seed=0, **SMALL)
    trials = told(searcher, lambda one: float(benchmark.query_many([one])[0]), 6)
    for layer in (2, 3, 1, 2):
        known = {one.architecture: float(benchmark.query_many([one.architecture])[0]) for one in trials}
        best = sorted(known, key=lambda one: -known[one])[:2]
        assert searcher.diagnostics["layer"] == layer
        new = told(searcher, lambda one: float(benchmark.query_many([one])[0]), 6)
        for child in new:
            changed = [
                {
                    layer_of(choice, position)
                    for position, (choice, value) in enumerate(space.walk(child.architecture.choices))
                    if value != parent.choices[position]
                }
                for parent in best
            ]
            assert any(layers <= {layer} for layers in changed)
        trials += new
    assert searcher.diagnostics["round"] == 2


@pytest.mark.slow
def test_a_choice_without_a_number_is_a_layer_of_its_own(tree):
    searcher = EPNAS(tree, seed=0, **SMALL)
    told(searcher, lambda one: float(len(one.choices)), 40)
    assert searcher.diagnostics["round"] > 1
    assert all(one in tree for one in map(tree.architecture, searcher._known))


# --- the controller ---------------------------------------------------------------------------------------


def test_the_chances_of_all_children_of_a_parent_add_up_to_one():
    """What is kept of the parent is no decision; and where it grows, to stop is none."""
    space = nl.spaces.ChainSkips(layers=3, channels=4, kernels=(1, 3), filters=(1, 2), strides=(1,))
    searcher = EPNAS(space, seed=2, units=6, reach=1.0)
    first = ("conv", 3, 1, 2, 1)
    deeper = [
        (*first, "conv", height, width, filters, 1, skip, STOP)
        for height in (1, 3)
        for width in (1, 3)
        for filters in (1, 2)
        for skip in (0, 1)
    ]
    chance = lambda children: float(searcher._evaluate(children)[0].detach().exp().sum())  # noqa: E731
    assert chance([Child(choices, 2, True) for choices in deeper]) == pytest.approx(1, abs=1e-5)
    anew = [Child(choices, 2, False) for choices in (*deeper, (*first, STOP))]
    assert chance(anew) == pytest.approx(1, abs=1e-5)
    assert 0.01 < chance(anew[-1:]) < 0.99
    firsts = [("conv", *sizes, 1, *deeper[0][5:]) for sizes in itertools.product((1, 3), (1, 3), (1, 2))]
    assert chance([Child(choices, 1, False) for choices in firsts]) == pytest.approx(1, abs=1e-5)


def test_it_is_drawn_as_it_is_evaluated(benchmark):
    searcher = EPNAS(benchmark.space, seed=2, units=6, reach=1.0)
    children, logs = searcher._imagine(12)
    np.testing.assert_allclose(searcher._evaluate(children)[0].detach(), logs, rtol=1e-4)
    assert searcher.controller.entropy == pytest.approx(
        float(searcher._evaluate(children)[1].mean().detach()), rel=1e-4
    )


def test_a_step_raises_what_was_rewarded_and_nothing_else_of_the_child(benchmark):
    searcher = EPNAS(benchmark.space, seed=0, policy="independent", children=1, imagined=1)
    trial = searcher.ask()
    searcher.tell(trial, 1.0)  # the baseline
    good = searcher.ask()
    before = {name: value.clone() for name, value in searcher.controller.policy.weights.met.items()}
    searcher.tell(good, 2.0)
    moved = {
        name.split("/")[2] for name, value in searcher.controller.policy.weights.met.items()
        if name in before and not torch.equal(value, before[name])
    }  # fmt: skip
    assert moved == {"1"}  # the first node's choice, for it was the first node's turn
    choice, value = next(iter(benchmark.space.walk(good.architecture.choices)))
    logits = searcher.controller.policy.weights.met
    name = next(name for name in before if choice.name in name)
    place = choice.options.index(value)
    assert (logits[name] - before[name]).argmax() == place


# --- the predictor ----------------------------------------------------------------------------------------


def test_the_predictor_ranks_what_it_has_not_seen(benchmark):
    rng, truth = np.random.default_rng(0), benchmark.column("test_accuracy")
    ranks = []
    for _ in range(3):
        numbers = rng.permutation(len(benchmark))[:300]
        predictor = Predictor(benchmark.space)
        for number in numbers[:100]:
            predictor.update(benchmark.choices[number], float(truth[number]))
        predicted = predictor([benchmark.choices[number] for number in numbers[100:]])
        ranks.append(nl.analysis.ranking.spearman(predicted, truth[numbers[100:]]))
    assert np.mean(ranks) > 0.7


def test_one_that_failed_to_train_does_not_drown_the_others(benchmark):
    predictors = []
    for worst in (10.0, -1e6):
        predictors.append(Predictor(benchmark.space))
        for number, reward in enumerate([90.0, 91, 92, 93, 91, 92, 90, 93, worst]):
            predictors[-1].update(benchmark.choices[number], reward)
    some = [benchmark.choices[number] for number in range(20, 40)]
    np.testing.assert_array_equal(predictors[0](some), predictors[1](some))
    assert predictors[0].rewards.min() == pytest.approx(90 - 1.5 * 2)


def test_its_distance_is_the_number_of_choices_that_differ(tree):
    predictor, all_ = Predictor(tree), list(tree.enumerate())
    apart = predictor._apart([one.choices for one in all_], [one.choices for one in all_[:9]])
    expected = [[tree.distance(one, other) for other in all_[:9]] for one in all_]
    np.testing.assert_allclose(apart**2, expected, atol=1e-9)


def test_the_likelier_to_be_good_is_the_likelier_to_be_tried(benchmark):
    """Cold, the search is far above what it tries at random; hot, it is not."""
    means = []
    for temperature in (0.02, 1000.0):
        searcher = EPNAS(benchmark.space, seed=0, temperature=temperature, learning_rate=1e-6, per_layer=1000)
        rng = np.random.default_rng(0)
        for number in rng.permutation(len(benchmark))[:60]:
            searcher._predictor.update(benchmark.choices[number], float(benchmark.column()[number]))
        tried = [searcher.ask().architecture for _ in range(30)]
        means.append(searcher._predictor([one.choices for one in tried]).mean())
    assert means[0] > means[1] + 0.3 * searcher._predictor.scale


def test_few_or_equal_rewards_predict_nothing(benchmark):
    predictor = Predictor(benchmark.space)
    for number in range(LEAST):
        predictor.update(benchmark.choices[number], 1.0)
    assert not predictor.ready
    for number in range(99, 103):
        predictor.update(benchmark.choices[number], 2.0)
    assert predictor.ready
    events = BlackBoxSearch(EPNAS(benchmark.space, **SMALL), lambda architecture: 1.0, 20)
    assert [events.advance().status for _ in range(20)] == ["done"] * 20


def test_its_details_tell_how_well_it_predicts(benchmark):
    trials = BlackBoxSearch(EPNAS(benchmark.space, seed=0, **SMALL), benchmark, 40)
    events = [trials.advance() for _ in range(40)]
    assert "foreseen" not in events[7].details
    assert -1 <= events[-1].details["foreseen"] <= 1


# --- constraints ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_more_and_more_candidates_keep_to_the_constraints_and_so_does_the_best(benchmark):
    """Two at once: half of the space keeps to the one, a quarter to the other."""
    limits = {"parameters": 0.35e6, "latency/raspi4": 15.0}
    inside = Table(benchmark, "valid_accuracy", epochs=12, metrics=tuple(limits))
    estimator = Penalised(inside, limits)
    shares, best, luck = [], [], []
    for seed in range(3):
        trials = BlackBoxSearch(EPNAS(benchmark.space, seed=seed), estimator, 90)
        events = [trials.advance() for _ in range(90)]
        kept = [event.figures["penalty"] == 1 for event in events]
        shares.append((np.mean(kept[:30]), np.mean(kept[-30:])))
        best.append(estimator(trials.best))
        other = BlackBoxSearch(RandomSearch(benchmark.space, seed=seed), estimator, 90)
        luck.append(max(other.advance().fitness for _ in range(90)))
    first, last = np.mean(shares, axis=0)
    assert last > first + 0.1
    assert all(score.metrics["penalty"] == 1 for score in best)
    assert np.mean([score.fitness for score in best]) > np.mean(luck)
