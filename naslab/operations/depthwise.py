"""A depthwise convolution whose backward pass is as fast as its forward pass, on a CPU.

PyTorch computes the gradients of many depthwise convolutions 5 to 30 times slower than the convolution itself. It has
fast kernels for the weight gradient of undilated kernels up to three wide, and for the input gradient of undilated
kernels; all others are slow. Three rewritings use only the fast ones. They compute the same sums, in another order, so
that results agree to rounding. (Where there is a compiler, the weight gradient is compiled instead: `depthwise.c`.)

- *turned kernels*: at stride 1 the input gradient is itself a depthwise convolution, of the output gradient with the
  kernel turned by 180 degrees, and the forward pass is fast for any dilation;
- *narrow strips*: a 5 x 5 kernel is a 5 x 3 and a 5 x 2 kernel side by side, whose weight gradients are separate;
- *separate grids*: at dilation 2 a kernel never combines even and odd rows or columns. The image is therefore four
  images of half the size, which an undilated kernel convolves. At stride 2 only one of the four is read.

Every backward pass consists of differentiable operations, so that it can be differentiated again (second-order DARTS).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from naslab.operations import depthwise_compiled as compiled
from naslab.operations.optimizations import Optimizations

STRIP = 3
"""The widest kernel whose weight gradient is fast."""


def depthwise(x: Tensor, weight: Tensor, stride: int, dilation: int, optimizations: Optimizations) -> Tensor:
    """Returns the depthwise convolution [B, C, ceil(H / stride), ceil(W / stride)], padded to keep the size.

    Args:
        x: [B, C, H, W].
        weight: [C, 1, k, l], k and l odd.
        stride: of both axes.
        dilation: of both axes.
        optimizations: the rewritings to use.
    """
    every = grid(stride, dilation, optimizations)
    if every > 1:
        x, stride, dilation = x[:, :, ::every, ::every].contiguous(memory_format=_layout(x)), 1, 1
    ours = (
        optimizations.compiled_kernel
        or optimizations.turned_kernels
        or optimizations.narrow_strips
        or optimizations.separate_grids
    )
    if x.device.type != "cpu" or not ours:
        return _convolution(x, weight, stride, dilation)
    if torch.is_autocast_enabled("cpu"):  # autocast does not reach inside a custom autograd function
        x, weight = (tensor.to(torch.get_autocast_dtype("cpu")) for tensor in (x, weight))
    return _Depthwise.apply(x, weight, stride, dilation, optimizations)  # type: ignore[return-value]


def grid(stride: int, dilation: int, optimizations: Optimizations) -> int:
    """Returns 2 if the convolution reads every second row and column of x only, else 1.

    Stride and dilation can be divided by it once the other rows and columns are left out.
    """
    return 2 if stride == dilation == 2 and optimizations.separate_grids else 1


class _Depthwise(Function):
    """PyTorch's forward pass with the backward pass of this module."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, stride: int, dilation: int, optimizations: Optimizations
    ) -> Tensor:
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight)
        ctx.settings, ctx.x_shape, ctx.layout = (stride, dilation, optimizations), x.shape, _layout(x)
        return _convolution(x, weight, stride, dilation)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        (stride, dilation, optimizations) = ctx.settings
        gradient = gradients[0].contiguous(memory_format=ctx.layout)
        for_x = for_weight = None
        if ctx.needs_input_grad[0]:
            if stride == 1 and optimizations.turned_kernels:
                for_x = depthwise(gradient, weight.flip(2, 3), 1, dilation, optimizations)
            else:
                like_x = (
                    torch.empty(ctx.x_shape, dtype=weight.dtype, memory_format=ctx.layout) if x is None else x
                )  # the input gradient does not depend on x, but PyTorch reads its shape
                for_x = _backward(gradient, like_x, weight, stride, dilation, (True, False))[0]
        if ctx.needs_input_grad[1]:
            for_weight = _weight_gradient(gradient, x, weight, stride, dilation, optimizations)
        return for_x, for_weight, None, None, None


def _weight_gradient(
    gradient: Tensor, x: Any, weight: Tensor, stride: int, dilation: int, optimizations: Optimizations
) -> Tensor | None:
    """Returns the gradient [C, 1, k, l] of the weight from that of the output, [B, C, P, Q]."""
    # The compiled kernel is not differentiable; with create_graph=True the code below is used.
    if optimizations.compiled_kernel and not torch.is_grad_enabled() and compiled.fits(x, weight):
        return compiled.weight_gradient(gradient, x, weight, stride, dilation)
    if dilation == 2 and stride == 1 and optimizations.separate_grids:
        gradient, x, dilation = _grids(gradient), _grids(x), 1
    height, width = weight.shape[2:]
    if width <= STRIP or x.shape[3] < width or dilation > 1 or not optimizations.narrow_strips:
        return _backward(gradient, x, weight, stride, dilation, (False, True))[1]
    strips = []
    for first in range(0, width, STRIP):
        strip = weight[..., first : first + STRIP]
        left = width // 2 - first  # padding so that column 0 of the strip reads what column `first` of the kernel reads
        needed = (gradient.shape[3] - 1) * stride + strip.shape[3]
        shifted = F.pad(x, (left, needed - x.shape[3] - left)).contiguous(memory_format=_layout(x))
        padding = (height // 2, 0)
        strips.append(_backward(gradient, shifted, strip, stride, 1, (False, True), padding)[1])
    return torch.cat(strips, dim=3)


def _grids(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [4 B, C, ceil(H / 2), ceil(W / 2)]: even and odd rows and columns as separate images."""
    height, width = x.shape[2:]
    if height % 2 or width % 2:
        x = F.pad(x, (0, width % 2, 0, height % 2))
    halves = x.permute(0, 2, 3, 1).unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # [B, H/2, 2, W/2, 2, C]
    return halves.permute(2, 4, 0, 1, 3, 5).flatten(0, 2).permute(0, 3, 1, 2)


def _layout(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format


def _convolution(x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    height, width = weight.shape[2:]
    padding = (dilation * (height // 2), dilation * (width // 2))
    return F.conv2d(x, weight, None, stride, padding, dilation, weight.shape[0])


def _backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: int,
    dilation: int,
    wanted: tuple[bool, bool],
    padding: tuple[int, int] | None = None,
) -> tuple[Tensor | None, Tensor | None]:
    """Returns PyTorch's gradients with respect to x and to the weight; None for what is not wanted."""
    height, width = weight.shape[2:]
    padding = padding or (dilation * (height // 2), dilation * (width // 2))
    for_x, for_weight, _ = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [stride] * 2, list(padding), [dilation] * 2, False, [0, 0], weight.shape[0],
        [*wanted, False],
    )  # fmt: skip
    return for_x, for_weight
