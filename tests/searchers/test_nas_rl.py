"""REINFORCE, and what only it does."""

import numpy as np
import pytest
import torch

import naslab as nl
from naslab.searchers import NasRL
from naslab.searchers.controller import COLLAPSED, Rewarded
from naslab.searchers.nas_rl import DONG_AND_YANG


def worth(choices):
    """Some reward, different for most architectures of the tree."""
    return 3.0 * choices.count("a") - 2.0 * choices[0] + 1.7 * (choices[4:5] == (1,)) + (choices[-1] == 0.5)


def play(searcher, score, count):
    events = []
    trials = nl.searchers.BlackBoxSearch(searcher, score, count)
    for _ in range(count):
        events.append(trials.advance())
    return events


@pytest.mark.parametrize("policy", ["lstm", "independent"])
def test_the_expected_step_is_the_gradient_of_the_expected_reward(tree, policy, monkeypatch):
    """sum over a of P(a) (R(a) - b) grad log P(a) = grad sum over a of P(a) R(a), over all architectures, any b."""
    searcher = NasRL(tree, seed=3, policy=policy, units=5, reach=1.0)
    controller, all_ = searcher.controller, [a.choices for a in tree.enumerate()]
    p = controller.evaluate(all_).log_probability.exp()
    weights = controller.policy.weights.met.values()
    rewards = torch.tensor([worth(choices) for choices in all_])
    truth = torch.autograd.grad((p * rewards).sum(), weights, allow_unused=True)

    expected = [torch.zeros_like(weight) for weight in weights]
    seen = []
    monkeypatch.setattr(controller, "ascend", seen.append)
    for choices, chance, reward in zip(all_, p.tolist(), rewards.tolist(), strict=True):
        baseline = 2.5
        loss = searcher.improve([Rewarded(choices, 0.0, reward)], torch.tensor([reward - baseline]))
        assert loss == pytest.approx(-(reward - baseline) * np.log(chance), rel=1e-4, abs=1e-5)
        slopes = torch.autograd.grad(seen.pop(), weights, allow_unused=True)
        for total, slope in zip(expected, slopes, strict=True):
            total += 0.0 if slope is None else chance * slope
    for slope, came in zip(truth, expected, strict=True):
        torch.testing.assert_close(came, torch.zeros_like(came) if slope is None else slope, atol=1e-4, rtol=1e-3)


def test_a_batch_is_averaged_against_the_baseline_before_it(tree, monkeypatch):
    """The first m children make the baseline; the next ones are judged by it, in the order in which they are told."""
    searcher = NasRL(tree, seed=1, children=3, units=4, baseline_momentum=0.5)
    seen = []
    monkeypatch.setattr(searcher, "improve", lambda batch, advantages: seen.append((batch, advantages)) or 0.0)
    trials = [searcher.ask() for _ in range(6)]
    for trial, reward in zip(reversed(trials), [1.0, 2.0, 6.0, 5.0, 1.0, 3.0], strict=True):
        searcher.tell(trial, reward)
    (batch, advantages), *others = seen
    assert not others
    before = (0.25 * 1 + 0.5 * 2 + 6) / 1.75
    assert advantages.tolist() == pytest.approx([5 - before, 1 - before, 3 - before])
    assert [told.choices for told in batch] == [p.architecture.choices for p in reversed(trials[:3])]


@pytest.mark.slow
def test_it_learns_what_pays(tree):
    searcher = NasRL(tree, seed=0, learning_rate=0.02, units=8, children=4)
    events = play(searcher, lambda architecture: worth(architecture.choices), 600)
    best = max(worth(a.choices) for a in tree.enumerate())
    rewards = [event.fitness for event in events]
    assert np.mean(rewards[-60:]) > 0.9 * best > 1.5 * np.mean(rewards[:60])


def test_a_collapse_is_told(tree):
    searcher = NasRL(tree, seed=0, policy="independent", children=2, learning_rate=0.5)
    events = play(searcher, lambda architecture: worth(architecture.choices), 200)
    flags = [event.details["collapsed"] for event in events]
    entropies = [event.details["entropy"] for event in events]
    assert (flags[0], flags[-1]) == (0, 1)
    assert entropies[0] > 1 > COLLAPSED > entropies[-1]
    assert len({event.architecture for event in events[-10:]}) == 1


def test_entropy_that_is_worth_something_keeps_it_from_collapsing(tree):
    searcher = NasRL(tree, seed=0, policy="independent", children=2, learning_rate=0.5)
    searcher.set("entropy_weight", 1.0)
    events = play(searcher, lambda architecture: worth(architecture.choices) / 100, 200)
    assert events[-1].details["entropy"] > 1


@pytest.mark.slow
def test_networks_grow():
    space = nl.spaces.ChainSkips.laptop()
    searcher = NasRL(space, seed=0, units=4, children=2, first_depth=2, deeper=1, deeper_every=20)
    depths = []
    for _ in range(80):
        trial = searcher.ask()
        depths.append(len(space.layers_of(trial.architecture)))
        searcher.tell(trial, 1.0)
    assert [max(depths[start : start + 20]) for start in range(0, 80, 20)] == [2, 3, 4, 5]
    assert min(depths) == 1
    assert searcher.deepest == 6


@pytest.mark.filterwarnings("ignore:.* failed")  # which is said
def test_failures_are_learnt_from(tree):
    """What fails becomes rare, although no failure has a fitness."""
    searcher = NasRL(tree, seed=0, policy="independent", children=4, learning_rate=0.05)
    events = play(searcher, lambda architecture: None if "b" in architecture.choices else worth((1,)), 30)
    assert {event.status for event in events} == {"done", "failed"}
    searcher = NasRL(tree, seed=0, policy="independent", children=4, learning_rate=0.05)
    luck = np.random.default_rng(0)
    score = lambda architecture: None if "b" in architecture.choices else float(luck.random())  # noqa: E731
    failed = [event.status == "failed" for event in play(searcher, score, 600)]
    assert np.mean(failed[-100:]) < 0.3 < 0.5 < np.mean(failed[:50])


def test_a_reward_too_large_is_counted_and_not_learnt_from(tree):
    searcher = NasRL(tree, seed=0, units=4, children=2)
    events = play(searcher, lambda architecture: 1e50 if architecture.choices[0] == 1 else 1.0, 40)
    assert events[-1].details["skipped"] == sum(event.architecture.choices[0] == 1 for event in events) > 0
    assert all(np.isfinite(list(event.details.values())).all() for event in events)


@pytest.mark.slow
@pytest.mark.parametrize("hyperparameters", [{}, DONG_AND_YANG], ids=["lstm", "independent"])
def test_it_learns_on_the_benchmark(benchmark, hyperparameters):
    """The accuracy of what it proposes rises; random search's does not."""
    score = nl.estimators.Table(benchmark, "valid_accuracy", epochs=12)
    rises = []
    for seed in range(3):
        searcher = NasRL(benchmark.space, seed=seed, **{**hyperparameters, "learning_rate": 0.03})
        fitness = np.array([event.fitness for event in play(searcher, score, 300)])
        rises.append(fitness[-100:].mean() - fitness[:100].mean())
    assert min(rises) > 2
