"""A 3 x 3 convolution with 16 products in the place of 36 (`winograd.c`), for the supernet of NAS-Bench-201.

Of a step of that supernet, 3 x 3 convolutions between 16 to 64 channels take more than half, and PyTorch computes them
at the speed of the processor: only fewer products make them faster. Minimal filtering (Winograd 1980; Lavin & Gray
2016, https://arxiv.org/abs/1509.09308) needs 16 for 2 x 2 pixels of the output where the definition has 36. Its
matrices hold 0, 1 and 1/2, so that it rounds no worse than the definition: each of the 16 is a shorter sum.

Where a gradient must itself be differentiable (second order), PyTorch's convolution is used.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from naslab.operations.kernels import Kernel, counting, has_layout, in_parts, kernel

TILES, PANEL = 48, 32
"""As in `winograd.c`: tiles that are computed at a time, and at most so many columns of a product."""


def fits(x: Tensor, weight: Tensor) -> bool:
    """Returns True if the kernel applies: one format, channels last, numbers of channels that 4 divides."""
    return (
        has_layout(x)
        and weight.dtype == x.dtype
        and weight.shape[2:] == (3, 3)
        and not torch.is_autocast_enabled("cpu")
        and kernel("winograd", math.gcd(*weight.shape[:2]), x.dtype) is not None
    )


def convolution(x: Tensor, weight: Tensor) -> Tensor:
    """Returns x [B, I, H, W] convolved with a weight [O, I, 3, 3], padding 1: [B, O, H, W]; requires `fits`."""
    return _Convolution.apply(x, weight)  # type: ignore[return-value]


class _Convolution(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        batch, _, height, width = x.shape
        ctx.sizes = sizes = height, width, weight.shape[1], weight.shape[0]
        run, room = _kernel(x, weight), _room(x, weight.shape[1])
        both = x.new_empty(2, _matrices(x, weight.shape[0] * weight.shape[1]))
        forth, ctx.back = both if ctx.needs_input_grad[0] else (both[0], None)
        run.filters(*sizes[2:], weight.contiguous(), forth, ctx.back)
        y = torch.empty(batch, weight.shape[0], height, width, dtype=x.dtype, memory_format=torch.channels_last)
        in_parts(batch, y[0].numel(), lambda p, i, j: run.convolve(i, j, *sizes, x, forth, y, room[p]))
        return y

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight = ctx.needs_input_grad
        if torch.is_grad_enabled() or counting():  # the first is create_graph=True
            about = [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [of_x, of_weight, False]
            return torch.ops.aten.convolution_backward(*above, x, weight, None, *about)[:2]
        gradient = above[0].contiguous(memory_format=torch.channels_last)
        run, room, sizes = _kernel(x, weight), _room(x, sum(weight.shape[:2])), ctx.sizes
        dx = torch.empty_like(x) if of_x else None
        products = torch.zeros(len(room), _matrices(x, weight.shape[0] * weight.shape[1]) * of_weight, dtype=x.dtype)

        def part(p: int, first: int, end: int) -> None:
            own = products[p] if of_weight else None
            run.gradients(first, end, *sizes, x, gradient, ctx.back, dx, own, room[p])

        in_parts(len(x), gradient[0].numel(), part)
        if not of_weight:
            return dx, None
        dw = torch.empty(weight.shape, dtype=weight.dtype)
        run.filters_back(len(products), *sizes[2:], products, dw)
        return dx, dw


def _kernel(x: Tensor, weight: Tensor) -> Kernel:
    return Kernel("winograd", math.gcd(*weight.shape[:2]), x.dtype)


def _matrices(x: Tensor, numbers: int) -> int:
    """Returns the length of 16 matrices of so many numbers each, 64 bytes apart."""
    return 16 * (numbers + 64 // x.element_size())


def _room(x: Tensor, channels: int) -> Tensor:
    """Returns room for what each thread is computing: transformed pixels of all channels, and a part of a product."""
    each = _matrices(x, TILES * channels) + 2 * _matrices(x, TILES * PANEL) + channels + PANEL
    return x.new_empty(torch.get_num_threads(), each)
