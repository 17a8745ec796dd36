"""The second-order gradient against closed forms and against differentiation through the inner step."""

import pytest
import torch
from torch import Tensor, nn

from naslab.searchers.gradient.bilevel import (
    InnerStep,
    exact_product,
    finite_difference_product,
    frozen,
    gradients,
    unrolled_gradients,
    weights_at,
)


class Smooth(nn.Module):
    """Two layers of three mixed smooth operations each, float64: x [B, 5] -> logits [B, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.ModuleList(nn.Linear(5, 6) for _ in range(3))
        self.second = nn.ModuleList(nn.Linear(6, 4) for _ in range(3))
        self.double()

    def forward(self, x: Tensor, alpha: Tensor) -> Tensor:
        p = alpha.softmax(dim=-1)
        shapes = (torch.tanh, torch.sin, nn.functional.softplus)
        hidden = torch.stack([p[0, i] * f(self.first[i](x)) for i, f in enumerate(shapes)]).sum(dim=0)
        return torch.stack([p[1, i] * f(self.second[i](hidden)) for i, f in enumerate(shapes)]).sum(dim=0)


@pytest.fixture
def problem():
    torch.manual_seed(0)
    network = Smooth()
    alpha = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    batches = {half: (torch.randn(16, 5, dtype=torch.float64), torch.randint(4, (16,))) for half in ("train", "valid")}

    def loss(half, parameters=None):
        x, y = batches[half]
        values = dict(network.named_parameters()) if parameters is None else parameters
        return nn.functional.cross_entropy(torch.func.functional_call(network, values, (x, alpha)), y)

    return network, alpha, loss


def through_the_inner_step(network, alpha, loss, step: InnerStep) -> Tensor:
    """d L_val(w'(alpha), alpha) / d alpha, with the graph of the inner step kept: independent of the product
    optimization.
    """
    names, weights = zip(*network.named_parameters(), strict=True)
    grads = torch.autograd.grad(loss("train"), weights, create_graph=True)
    moved = {
        name: w - step.xi * (g + step.weight_decay * w + (0 if m is None else m))
        for name, w, g, m in zip(names, weights, grads, step.momentum, strict=True)
    }
    (found,) = torch.autograd.grad(loss("valid", moved), alpha)
    return found


@pytest.mark.parametrize("with_momentum", [False, True])
@pytest.mark.parametrize(("product", "tolerance"), [(exact_product, 1e-12), (finite_difference_product(1e-3), 1e-6)])
def test_second_order_equals_differentiation_through_the_inner_step(problem, product, tolerance, with_momentum):
    network, alpha, loss = problem
    weights = list(network.parameters())
    momentum = [torch.randn_like(w) if with_momentum else None for w in weights]
    step = InnerStep(xi=5.0, weight_decay=0.01, momentum=momentum)
    expected = through_the_inner_step(network, alpha, loss, step)
    before = [w.detach().clone() for w in weights]

    found = unrolled_gradients(
        train_loss=lambda: loss("train"),
        valid_loss=lambda: loss("valid"),
        weights=weights,
        alphas=[alpha],
        step=step,
        product=product,
    )

    (direct,) = gradients(loss("valid"), [alpha])
    assert (direct - expected).norm() > 0.05 * expected.norm(), "the mixed term must matter, or nothing is tested"
    assert (found.gradients[0] - expected).norm() < tolerance * expected.norm()
    assert all(torch.equal(w, b) for w, b in zip(weights, before, strict=True))
    assert all(w.requires_grad and w.grad is None for w in weights)


def test_scalar_closed_form():
    """L_train = (w - a)^2 / 2, L_val = w'^2 / 2: w' = w - xi (w - a) and d L_val / d a = xi w'."""
    w = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    a = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    for product in (exact_product, finite_difference_product(0.01)):
        found = unrolled_gradients(
            train_loss=lambda: ((w - a) ** 2 / 2).sum(),
            valid_loss=lambda: (w**2 / 2).sum() + 0 * a.sum(),
            weights=[w],
            alphas=[a],
            step=InnerStep(xi=0.25, weight_decay=0.0, momentum=[None]),
            product=product,
        )
        assert found.moved[0].item() == pytest.approx(2.5)
        assert found.gradients[0].item() == pytest.approx(0.25 * 2.5, rel=1e-12)


@pytest.mark.parametrize("radius", [1e-4, 1e-2, 1.0, 100.0])
def test_finite_difference_is_exact_on_a_bilinear_loss(radius):
    """grad_alpha (w' M a) is linear in w, so (g+ - g-) / 2e is M' v for any e; `x / 2. * e` is not."""
    generator = torch.Generator().manual_seed(1)
    m = torch.randn(4, 3, dtype=torch.float64, generator=generator)
    w = torch.randn(4, dtype=torch.float64, generator=generator).requires_grad_()
    a = torch.randn(3, dtype=torch.float64, generator=generator).requires_grad_()
    v = torch.randn(4, dtype=torch.float64, generator=generator)

    (found,) = finite_difference_product(radius)(lambda: w @ m @ a, [w], [a], [v])

    torch.testing.assert_close(found, m.T @ v, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("length", [0.1, 30.0])
def test_the_radius_is_that_of_the_whole_step_however_long_v_is(length):
    """The gradient by a of a (w1^3 + w2^3), to which third derivatives add e^2 v^3; e = r / |v|."""
    w = torch.tensor([0.5, -2.0], dtype=torch.float64, requires_grad=True)
    a = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    u, radius = torch.tensor([0.6, -0.8], dtype=torch.float64), 0.25

    (found,) = finite_difference_product(radius)(lambda: a * w.pow(3).sum(), [w], [a], [length * u])

    expected = length * (3 * w.detach() ** 2 * u + radius**2 * u**3).sum()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)
    exact = length * (3 * w.detach() ** 2 * u).sum()
    assert abs(found - exact) > 1e-3 * abs(exact), "the radius must be seen, or nothing is tested"


def test_a_vanishing_validation_gradient_gives_no_mixed_term():
    w = torch.ones(2, requires_grad=True)
    a = torch.ones(2, requires_grad=True)
    (found,) = finite_difference_product()(lambda: (w * a).sum(), [w], [a], [torch.zeros(2)])
    assert torch.equal(found, torch.zeros(2))


def test_weights_at_restores_to_the_last_bit_even_after_an_error():
    w = torch.randn(1000, generator=torch.Generator().manual_seed(0)).requires_grad_()
    before = w.detach().clone()
    with pytest.raises(ZeroDivisionError), weights_at([w], [w.detach() + 1e-3]):
        assert not torch.equal(w, before)
        raise ZeroDivisionError
    assert torch.equal(w, before)


def test_frozen_weights_get_no_gradient_and_thaw_again():
    layer = nn.Linear(2, 2)
    alpha = torch.ones(2, requires_grad=True)
    with frozen(list(layer.parameters())):
        loss = (layer(alpha) ** 2).sum()
        assert not layer.weight.requires_grad
    loss.backward()
    assert layer.weight.grad is None
    assert alpha.grad is not None
    assert layer.weight.requires_grad
