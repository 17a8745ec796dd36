"""The compiled weight gradient of a depthwise convolution against PyTorch's."""

import itertools

import pytest
import torch

from naslab.operations import depthwise_compiled as compiled
from naslab.operations import kernels
from naslab.operations.depthwise import depthwise
from naslab.operations.optimizations import Optimizations
from naslab.threads import torch_threads

needs_a_compiler = pytest.mark.skipif(not kernels.available(), reason="no C compiler here")


def draw(batch, channels, height, width, side, stride):
    generator = torch.Generator().manual_seed(height * 100 + width)
    x = torch.randn(batch, channels, height, width, generator=generator).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, 1, side, side, generator=generator)
    rows, columns = -(-height // stride), -(-width // stride)
    gradient = torch.randn(batch, channels, rows, columns, generator=generator)
    return x, weight, gradient.contiguous(memory_format=torch.channels_last)


@needs_a_compiler
@pytest.mark.parametrize(("side", "stride", "dilation"), list(itertools.product((3, 5, 7), (1, 2, 3), (1, 2))))
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 9), (7, 4), (8, 8), (13, 3)])
@pytest.mark.parametrize("channels", [4, 8, 48])
def test_equal_to_pytorch(side, stride, dilation, height, width, channels):
    x, weight, gradient = draw(2, channels, height, width, side, stride)
    assert compiled.fits(x, weight)
    ours = compiled.weight_gradient(gradient, x, weight, stride, dilation)
    arguments = [stride] * 2, [dilation * (side // 2)] * 2, [dilation] * 2, False, [0, 0], channels
    _, theirs, _ = torch.ops.aten.convolution_backward(
        gradient.double(), x.double(), weight.double(), None, *arguments, [False, True, False]
    )
    assert ours.shape == weight.shape
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        lambda x, w: (x.bfloat16(), w),
        lambda x, w: (x.contiguous(), w),
        lambda x, w: (x[:, :6].contiguous(memory_format=torch.channels_last), w[:6]),
        lambda x, w: (x, w[..., :2]),
        lambda x, w: (x, torch.zeros(8, 1, 9, 9)),
    ],
)
def test_what_it_cannot_do_is_left_to_pytorch(change):
    x, weight, _ = draw(2, 8, 5, 5, 3, 1)
    assert not compiled.fits(*change(x, weight))


@needs_a_compiler
def test_it_is_used_and_has_a_switch(monkeypatch):
    used = []
    real = compiled.weight_gradient
    monkeypatch.setattr(compiled, "weight_gradient", lambda *given: used.append(given) or real(*given))
    for optimizations, times in ((Optimizations(), 1), (Optimizations(compiled_kernel=False), 1)):
        x, weight, gradient = draw(2, 8, 6, 6, 5, 1)
        weight.requires_grad_()
        depthwise(x, weight, 1, 2, optimizations).backward(gradient)
        assert len(used) == times


@needs_a_compiler
def test_a_gradient_that_is_differentiated_again_is_left_to_pytorch():
    x, weight, _ = draw(2, 4, 5, 5, 3, 1)
    x, weight = x.requires_grad_(), weight.requires_grad_()
    first = torch.autograd.grad(depthwise(x, weight, 1, 1, Optimizations()).square().sum(), weight, create_graph=True)[
        0
    ]
    (second,) = torch.autograd.grad(first.sum(), x)
    reference = torch.nn.functional.conv2d(x, weight, None, 1, 1, 1, 4)
    expected = torch.autograd.grad(reference.square().sum(), weight, create_graph=True)[0]
    torch.testing.assert_close(second, torch.autograd.grad(expected.sum(), x)[0], rtol=1e-4, atol=1e-3)


@needs_a_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_several_threads_share_the_rows_of_a_kernel(dtype, monkeypatch):
    monkeypatch.setattr(kernels, "SMALLEST", 50)
    x, weight, gradient = (tensor.to(dtype) for tensor in draw(2, 8, 7, 9, 5, 1))
    alone = compiled.weight_gradient(gradient, x, weight, 1, 1)
    with torch_threads(3):
        assert torch.equal(compiled.weight_gradient(gradient, x, weight, 1, 1), alone)
