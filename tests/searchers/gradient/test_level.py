"""Levels against gradients written out with autograd."""

import pytest
import torch
from torch.testing import assert_close

from naslab.errors import SpecError
from naslab.randomness import torch_generator
from naslab.searchers.gradient.bilevel import InnerStep
from naslab.searchers.gradient.objective import Bilevel, MixedLevel, Problem, SingleLevel

XI = 0.3


def draw(*shape, name):
    return torch.randn(*shape, dtype=torch.float64, generator=torch_generator(name))


@pytest.fixture
def problem():
    """Losses that are quadratic in w, so that finite differences are exact."""
    w, alpha = draw(4, name="w").requires_grad_(), draw(3, name="alpha").requires_grad_()
    a, b = draw(3, 4, name="a"), draw(4, name="b")

    def train(w_now, alpha_now):
        return ((alpha_now @ a) * w_now).sum() + (w_now**2).sum() + (alpha_now**3).sum()

    def valid(w_now, alpha_now):
        return ((w_now - b) ** 2).sum() * alpha_now[0] + alpha_now.sin().sum()

    step = InnerStep(xi=XI, weight_decay=0.1, momentum=[None])
    made = Problem(
        train_loss=lambda: train(w, alpha), valid_loss=lambda: valid(w, alpha), weights=[w], alphas=[alpha], step=step
    )
    return made, train, valid, w, alpha


def written_out(train, outer, w, alpha, order):
    """d outer(w'(alpha), alpha) / d alpha by double backward, w' = w - xi (grad + decay w)."""
    (first,) = torch.autograd.grad(train(w, alpha), w, create_graph=True)
    moved = w - XI * (first + 0.1 * w) if order == 2 else w.detach()
    return torch.autograd.grad(outer(moved, alpha), alpha)[0]


@pytest.mark.parametrize(("order", "product"), [(1, "exact"), (2, "exact"), (2, "finite_difference")])
def test_mixed_is_the_training_gradient_and_lambda_times_the_validation_gradient(problem, order, product):
    made, train, valid, w, alpha = problem
    before = w.detach().clone()
    found = MixedLevel(order=order, hessian_product=product).gradients(made, {"valid_weight": 0.7}).gradients[0]
    of_train = written_out(train, train, w, alpha, order)
    of_valid = written_out(train, valid, w, alpha, order)
    assert_close(found, of_train + 0.7 * of_valid, rtol=1e-8, atol=1e-10)
    assert torch.equal(w, before)
    assert w.requires_grad


@pytest.mark.parametrize("order", [1, 2])
def test_bilevel_is_the_validation_gradient(problem, order):
    made, train, valid, w, alpha = problem
    found = Bilevel(order=order, hessian_product="exact").gradients(made, {})
    assert_close(found.gradients[0], written_out(train, valid, w, alpha, order))
    assert len(found.moved) == order - 1


def test_single_is_the_training_gradient(problem):
    made, train, _, w, alpha = problem
    assert_close(SingleLevel().gradients(made, {}).gradients[0], written_out(train, train, w, alpha, 1))


@pytest.mark.parametrize("bad", [{"order": 3}, {"hessian_product": "magic"}, {"radius": 0.0}, {"valid_weight": 0.0}])
def test_nonsense_is_refused(bad):
    with pytest.raises(SpecError, match=next(iter(bad))):
        MixedLevel(**bad)
