"""Fused SGD against PyTorch's default."""

import pytest
import torch

from naslab.operations.descent import sgd
from naslab.randomness import torch_generator


def descended(make, dtype=torch.float64, steps=3, **settings):
    generator = torch_generator("descent")

    def drawn(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    weights = [drawn(*shape).requires_grad_() for shape in ((3, 5), (17,), (4, 2, 3, 3))]
    optimizer = make(weights, lr=0.1, **settings)
    for step in range(steps):
        for number, weight in enumerate(weights):
            weight.grad = drawn(*weight.shape) if (step + number) % 3 else None  # a child does not use all weights
        optimizer.step()
    return [weight.detach() for weight in weights]


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9, "weight_decay": 3e-4}, {"momentum": 0.9, "nesterov": True}])
def test_computes_the_same(settings):
    ours, theirs = (descended(make, **settings) for make in (sgd, torch.optim.SGD))
    torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("of_gradient", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("of_momentum", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(4, 2, 3, 3), (4, 2, 1, 1), (4, 1, 3, 3)])
def test_layouts_of_gradient_and_momentum_may_differ_from_the_weights(of_gradient, of_momentum, shape):
    """A checkpoint gives momenta row by row, and PyTorch's fused update would add them to other numbers."""
    value, gradient, momentum = torch.randn(3, *shape, generator=torch_generator("layouts"), dtype=torch.float64)
    found = []
    for make in (sgd, torch.optim.SGD):
        weight = value.clone(memory_format=torch.channels_last).requires_grad_()
        weight.grad = gradient.clone(memory_format=of_gradient)
        optimizer = make([weight], lr=0.1, momentum=0.9, weight_decay=3e-4)
        optimizer.state[weight]["momentum_buffer"] = momentum.clone(memory_format=of_momentum)
        optimizer.step()
        found.append(weight.detach())
    torch.testing.assert_close(*found, rtol=1e-14, atol=1e-15)


def test_bit_for_bit_the_same_again():
    """Wherever the memory of a tensor begins."""
    found = []
    for shift in range(4):
        kept = torch.empty(1000 + shift)  # so that what follows lies elsewhere
        found.append(descended(sgd, torch.float32, momentum=0.9, weight_decay=3e-4))
        del kept
    generator = torch_generator("places")
    values, gradient = torch.randn(2, 37, generator=generator)
    for start in range(4):
        weight = torch.zeros(start + 37)[start:].copy_(values).requires_grad_()
        weight.grad = torch.zeros(start + 37)[start:].copy_(gradient)
        sgd([weight], lr=0.1, momentum=0.9, weight_decay=3e-4).step()
        found.append([weight.detach().clone()])
    for others in (found[:4], found[4:]):
        for other in others[1:]:
            assert all(map(torch.equal, other, others[0]))


def test_is_fused_on_a_cpu_alone():
    here, elsewhere = torch.zeros(2, requires_grad=True), torch.zeros(2, device="meta", requires_grad=True)
    assert sgd([here], lr=0.1).param_groups[0]["fused"]
    assert not sgd([here, elsewhere], lr=0.1).param_groups[0]["fused"]
