"""A 3 x 3 convolution by minimal filtering, against PyTorch's."""

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from naslab.operations import kernels, stacked, winograd
from naslab.operations.optimizations import Optimizations
from naslab.randomness import torch_generator
from naslab.threads import torch_threads

pytestmark = pytest.mark.skipif(not kernels.available(), reason="no C compiler here")
SIZES = [(3, 16, 48, 9, 7), (2, 8, 8, 8, 8), (5, 12, 4, 5, 6), (2, 64, 128, 4, 8), (1, 16, 16, 1, 1), (3, 4, 20, 2, 11)]
"""(B, I, O, H, W): even and odd sides, blocks of tiles that end within an image, one vector of channels and several."""


def draw(batch, inputs, outputs, height, width, dtype=torch.float64):
    generator = torch_generator("winograd", batch, inputs, outputs, height, width)

    def drawn(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    x = drawn(batch, inputs, height, width).contiguous(memory_format=torch.channels_last)
    above = drawn(batch, outputs, height, width).contiguous(memory_format=torch.channels_last)
    return x.requires_grad_(), drawn(outputs, inputs, 3, 3).requires_grad_(), above


def plain(x, weight):
    return F.conv2d(x, weight, padding=1)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_equal_to_the_definition(sizes, threads, monkeypatch):
    monkeypatch.setattr(kernels, "SMALLEST", 50)  # so that there is something to share
    x, weight, above = draw(*sizes)
    assert winograd.fits(x, weight)
    with torch_threads(threads):
        ours = winograd.convolution(x, weight)
        found = torch.autograd.grad(ours, [x, weight], above)
    theirs = plain(x, weight)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found, torch.autograd.grad(theirs, [x, weight], above), rtol=1e-12, atol=1e-12)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert found[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("channels", [16, 32])
def test_rounds_no_worse_than_the_definition(channels):
    x, weight, above = draw(8, channels, 2 * channels, 16, 16, torch.float32)
    errors = []
    for convolve, real in ((plain, torch.float64), (plain, torch.float32), (winograd.convolution, torch.float32)):
        given = [tensor.detach().to(real).requires_grad_() for tensor in (x, weight)]
        y = convolve(*given)
        found = [y.detach(), *torch.autograd.grad(y, given, above.to(real))]
        if real is torch.float64:
            exact = found
        else:
            errors.append([float((f - e).norm() / e.norm()) for f, e in zip(found, exact, strict=True)])
    theirs, ours = errors
    assert all(our < 1.2 * their + 1e-8 for our, their in zip(ours, theirs, strict=True)), errors


@pytest.mark.parametrize("wanted", [0, 1])
def test_only_the_gradient_that_is_asked_for(wanted):
    x, weight, above = draw(2, 8, 16, 5, 5)
    given = [x, weight]
    given[1 - wanted].requires_grad_(False)
    (found,) = torch.autograd.grad(winograd.convolution(x, weight), given[wanted], above)
    (expected,) = torch.autograd.grad(plain(x, weight), given[wanted], above)
    torch.testing.assert_close(found, expected)


def test_a_gradient_can_be_differentiated_again():
    x, weight, above = draw(2, 8, 4, 5, 4)
    products = []
    for convolve in (winograd.convolution, plain):
        first = torch.autograd.grad(convolve(x, weight), [x, weight], above, create_graph=True)
        products.append(torch.autograd.grad(sum((g**2).sum() for g in first), [x, weight]))
    torch.testing.assert_close(*products)


def test_what_the_kernel_is_not_for():
    x, weight, _ = draw(2, 8, 8, 4, 4)
    assert winograd.fits(x, weight)
    assert not winograd.fits(x.detach().contiguous(), weight), "channels apart"
    assert not winograd.fits(x, weight[:, :, 1:, 1:]), "another size"
    assert not winograd.fits(x, weight.float()), "two formats"
    assert not winograd.fits(x[:, :6].contiguous(memory_format=torch.channels_last), weight[:, :6]), "6 channels"
    with torch.autocast("cpu"):
        assert not winograd.fits(x, weight)


def test_multiply_adds_are_counted_as_those_of_the_definition():
    """Torch counts its own operations: it is given these, also for the gradients of a result that was not counted."""
    x, weight, above = draw(2, 8, 8, 4, 4)
    counts = []
    for convolve in (stacked.StackedConv(1, 8, 8, 3, 1, 1, first=True).double(), plain):
        if convolve is plain:
            given = lambda: plain(x, weight)  # noqa: E731
        else:
            given = lambda convolve=convolve: convolve(x, [0], Optimizations())  # noqa: E731
        y = given()
        with FlopCounterMode(display=False) as forward:
            given()
        with FlopCounterMode(display=False) as backward:
            torch.autograd.grad(y, [x, weight if convolve is plain else convolve.weight], above)
        counts.append((forward.get_total_flops(), backward.get_total_flops()))
    assert counts[0] == counts[1]
    assert min(counts[0]) > 0


def test_the_switch(monkeypatch):
    """Without it, or for another stride, PyTorch convolves."""
    called = []
    monkeypatch.setattr(winograd, "convolution", lambda x, weight: called.append(1) or plain(x, weight))
    x, _, _ = draw(2, 8, 8, 4, 4)
    convolution = stacked.StackedConv(2, 8, 8, 3, 1, 1, first=True).double()
    for optimizations in (None, Optimizations.none(), Optimizations(minimal_filtering=False)):
        convolution(x, [0, 1], optimizations)
    stacked.StackedConv(2, 8, 8, 3, 2, 1, first=True).double()(x, [0, 1], Optimizations())
    assert not called
    convolution(x, [1], Optimizations())
    assert called
