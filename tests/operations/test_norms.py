"""Batch normalisation in channels-last layout against PyTorch's in the other one."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from naslab.networks.batch_norm import frozen_statistics
from naslab.operations import kernels
from naslab.operations.norms import BatchNorm2d
from naslab.randomness import torch_generator

pytestmark = pytest.mark.skipif(not kernels.available(), reason="no C compiler here")


def draw(*shape, name="x", dtype=torch.float64):
    drawn = torch.randn(*shape, generator=torch_generator("norms", name), dtype=torch.float64).to(dtype)
    return drawn.contiguous(memory_format=torch.channels_last)


def pair(affine, momentum=0.1, dtype=torch.float64):
    ours, theirs = BatchNorm2d(8, affine=affine, momentum=momentum), nn.BatchNorm2d(8, affine=affine, momentum=momentum)
    if affine:
        with torch.no_grad():
            ours.weight.copy_(torch.linspace(-1, 2, 8))
            ours.bias.copy_(torch.linspace(1, -3, 8))
    theirs.load_state_dict(ours.state_dict())
    return ours.to(dtype), theirs.to(dtype)


def passed(norm, x, above, memory_format):
    """Output, and gradients of input and parameters."""
    x = x.contiguous(memory_format=memory_format).requires_grad_()
    output = norm(x)
    return [output.detach(), *torch.autograd.grad(output, [x, *norm.parameters()], above)]


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_equal_to_pytorch(affine, momentum):
    norms, above = pair(affine, momentum), draw(3, 8, 5, 6, name="above")
    for number in (1, 2):
        x = number * draw(3, 8, 5, 6) + number
        ours, theirs = (passed(norm, x, above, torch.channels_last) for norm in norms)
        for mine, exact in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, exact, rtol=1e-11, atol=1e-11)
    ours, theirs = (norm.state_dict() for norm in norms)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value)
    frozen = copy.deepcopy(ours)
    with frozen_statistics(norms[0]):
        norms[0](x)
    norms[0].eval()
    torch.testing.assert_close(norms[0](x), norms[1].eval()(x))
    torch.testing.assert_close(norms[0].state_dict(), frozen, rtol=0, atol=0)


def test_a_gradient_can_be_differentiated_again():
    found = []
    for norm in pair(affine=True):
        x = draw(2, 8, 3, 4).requires_grad_()
        inputs = [x, *norm.parameters()]
        first = torch.autograd.grad(norm(x).pow(3).sum(), inputs, create_graph=True)
        found.append([*first, *torch.autograd.grad(torch.cat([g.flatten() for g in first]).pow(2).sum(), inputs)])
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(64, 8, 32, 32), (8, 8, 8, 8)])
def test_as_accurate_in_channels_last_layout(shape):
    """Errors in single precision, against double precision: as those of the other layout, however many pixels."""
    x, above = (draw(*shape, name=name, dtype=torch.float32) for name in ("x", "above"))
    _, exact = pair(True)
    expected = passed(exact, x.double(), above.double(), torch.contiguous_format)
    ours, theirs = pair(True, dtype=torch.float32)
    found = passed(ours, x, above, torch.channels_last)
    for mine, correct in zip(found, expected, strict=True):
        assert (mine - correct).norm() <= 2e-7 * correct.norm()
    if len(x) == 64:  # what it is for
        assert (passed(theirs, x, above, torch.channels_last)[0] - expected[0]).norm() > 4e-7 * expected[0].norm()


def test_another_layout_is_left_to_pytorch():
    ours, theirs = pair(True, dtype=torch.float32)
    x = draw(3, 8, 5, 6, dtype=torch.float32).contiguous()
    assert torch.equal(ours(x), theirs(x))
    weight, bias = ours.weight, ours.bias
    assert torch.equal(ours(x), F.batch_norm(x, None, None, weight, bias, True, 0.0, ours.eps))
