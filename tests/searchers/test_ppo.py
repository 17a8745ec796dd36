"""The clipped surrogate, and how often it is climbed."""

import numpy as np
import pytest
import torch

import naslab as nl
from naslab.searchers import PPO, NasRL
from naslab.searchers.controller import Rewarded
from naslab.searchers.ppo import clipped


def test_the_surrogate_by_hand():
    """Ratios 2, 2, 1/2, 1/2 and 1.1 with advantages of either sign: only those that went too far the right way stop."""
    ratio = torch.tensor([2.0, 2.0, 0.5, 0.5, 1.1])
    advantages = torch.tensor([3.0, -3.0, 3.0, -3.0, 4.0])
    log = ratio.log().requires_grad_()
    found = clipped(log, torch.zeros(5), advantages, 0.2)
    assert found.item() == pytest.approx((1.2 * 3 - 2 * 3 + 0.5 * 3 - 0.8 * 3 + 1.1 * 4) / 5)
    (slope,) = torch.autograd.grad(found, log)
    assert slope.tolist() == pytest.approx([0, -6 / 5, 1.5 / 5, 0, 4.4 / 5])


def gradients(searcher, monkeypatch, batch, advantages):
    seen, controller = [], searcher.controller
    monkeypatch.setattr(controller, "ascend", seen.append)
    searcher.improve(batch, advantages)
    weights = controller.policy.weights.met.values()
    return torch.autograd.grad(seen[0], weights, allow_unused=True)


def test_the_first_pass_is_reinforce(tree, monkeypatch):
    """Where nothing has moved the ratio is 1, and its gradient that of the log-probability."""
    given = dict(units=4, layers=1, reach=1.0, entropy_weight=0.0, seed=2)
    ppo, reinforce = PPO(tree, **given), NasRL(tree, **given)
    drawn = ppo.controller.draw(6, np.random.default_rng(1))
    batch = [Rewarded(*pair, 0.0) for pair in zip(drawn.answers, drawn.log_probability.tolist(), strict=True)]
    advantages = torch.tensor([1.0, -2.0, 0.5, 3.0, -1.0, 0.0])
    for one, other in zip(
        gradients(ppo, monkeypatch, batch, advantages),
        gradients(reinforce, monkeypatch, batch, advantages),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.slow
def test_the_clip_holds_the_policy_back(tree):
    """Many passes move a policy that is not clipped much further from where its children were drawn."""

    def moved(clip):
        ppo = PPO(tree, seed=2, units=4, passes=60, learning_rate=0.02, clip=clip)
        drawn = ppo.controller.draw(6, np.random.default_rng(1))
        batch = [Rewarded(*pair, 0.0) for pair in zip(drawn.answers, drawn.log_probability.tolist(), strict=True)]
        ppo.improve(batch, torch.tensor([2.0, -1.0, -1.0, 2.0, -1.0, -1.0]))
        assert ppo.controller.updates == 60
        again = ppo.controller.evaluate(drawn.answers).log_probability.detach()
        return (again - drawn.log_probability).abs().max().item()

    assert moved(0.2) < 0.7 * moved(1.0)


def test_its_loss_is_that_of_the_first_pass(tree):
    ppo = PPO(tree, seed=2, units=4, entropy_weight=0.0)
    drawn = ppo.controller.draw(3, np.random.default_rng(1))
    batch = [Rewarded(*pair, 0.0) for pair in zip(drawn.answers, drawn.log_probability.tolist(), strict=True)]
    assert ppo.improve(batch, torch.tensor([1.0, 2.0, -6.0])) == pytest.approx(1.0, rel=1e-4)


@pytest.mark.slow
def test_it_learns_on_the_benchmark(benchmark):
    score = nl.estimators.Table(benchmark, "valid_accuracy", epochs=12)
    rises = []
    for seed in range(2):
        trials = nl.searchers.BlackBoxSearch(PPO(benchmark.space, seed=seed, learning_rate=1e-3), score, 300)
        fitness = np.array([trials.advance().fitness for _ in range(300)])
        rises.append(fitness[-100:].mean() - fitness[:100].mean())
    assert min(rises) > 3
