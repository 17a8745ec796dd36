"""Candidate operations on images: those of DARTS and those of NAS-Bench-201.

Every operation maps [B, C, H, W] to [B, C, H', W'] with the same number of channels, and H' = ceil(H / stride).
Convolutions are in the order ReLU, convolution(s) without bias, batch normalisation; `affine` says whether the
normalisation has a learnt scale and shift.

Sources: DARTS (Liu et al. 2019, https://arxiv.org/abs/1806.09055, Sec. 3.1.1) and NAS-Bench-201 (Dong & Yang 2020,
https://arxiv.org/abs/2001.00326, Sec. 2.1). Difference from the papers: `FactorizedReduce` takes odd sizes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from naslab.operations.norms import BatchNorm2d

Operation = Callable[[int, int, bool], nn.Module]
"""(channels, stride, affine) -> the module."""


class ReLUConvBN(nn.Sequential):
    """ReLU, one k x k convolution, batch normalisation; keeps the size at stride 1."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int = 1, affine: bool = True) -> None:
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(channels_in, channels, kernel, stride, padding=kernel // 2, bias=False),
            BatchNorm2d(channels, affine=affine),
        )


class DilatedConv(nn.Sequential):
    """ReLU, a depthwise k x k convolution, a pointwise one, batch normalisation: a depthwise separable convolution."""

    def __init__(self, channels: int, kernel: int, stride: int, affine: bool, dilation: int = 2) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            BatchNorm2d(channels, affine=affine),
        )


class SeparableConv(nn.Sequential):
    """A depthwise separable convolution applied twice; the first has the stride."""

    def __init__(self, channels: int, kernel: int, stride: int, affine: bool) -> None:
        super().__init__(
            DilatedConv(channels, kernel, stride, affine, dilation=1),
            DilatedConv(channels, kernel, 1, affine, dilation=1),
        )


class FactorizedConv(nn.Sequential):
    """ReLU, a 1 x k and a k x 1 convolution, batch normalisation."""

    def __init__(self, channels: int, kernel: int, stride: int, affine: bool) -> None:
        half = kernel // 2
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(channels, channels, (1, kernel), (1, stride), (0, half), bias=False),
            nn.Conv2d(channels, channels, (kernel, 1), (stride, 1), (half, 0), bias=False),
            BatchNorm2d(channels, affine=affine),
        )


class FactorizedReduce(nn.Module):
    """Halves the size by two 1 x 1 convolutions of stride 2, the second shifted by one pixel down and to the right.

    [B, channels_in, H, W] -> [B, channels, ceil(H / 2), ceil(W / 2)]. An odd size is first padded by a row or column of
    zeros; an even one is treated as published. The input is sliced before a convolution of stride 1, which is the same:
    the backward pass of torch 2.14 for a 1 x 1 convolution of stride 2 in channels-last layout writes out of bounds.
    """

    def __init__(self, channels_in: int, channels: int, affine: bool = True, *, relu: bool = True) -> None:
        super().__init__()
        self.relu = relu
        self.even = nn.Conv2d(channels_in, channels // 2, 1, bias=False)
        self.odd = nn.Conv2d(channels_in, channels - channels // 2, 1, bias=False)
        self.norm = BatchNorm2d(channels, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if self.relu:
            x = F.relu(x)
        if height % 2 or width % 2:
            x = F.pad(x, (0, width % 2, 0, height % 2))
        return self.norm(torch.cat([self.even(x[:, :, ::2, ::2]), self.odd(x[:, :, 1::2, 1::2])], dim=1))


class Zero(nn.Module):
    """No connection: zeros of the shape that an operation of this stride would have."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


def _average_pool(stride: int) -> nn.Module:
    return nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)


def _skip(channels: int, stride: int, affine: bool) -> nn.Module:
    return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, affine)


DARTS_OPERATIONS: dict[str, Operation] = {
    "none": lambda channels, stride, affine: Zero(stride),
    "max_pool_3x3": lambda channels, stride, affine: nn.MaxPool2d(3, stride, padding=1),
    "avg_pool_3x3": lambda channels, stride, affine: _average_pool(stride),
    "skip_connect": _skip,
    "sep_conv_3x3": lambda channels, stride, affine: SeparableConv(channels, 3, stride, affine),
    "sep_conv_5x5": lambda channels, stride, affine: SeparableConv(channels, 5, stride, affine),
    "dil_conv_3x3": lambda channels, stride, affine: DilatedConv(channels, 3, stride, affine),
    "dil_conv_5x5": lambda channels, stride, affine: DilatedConv(channels, 5, stride, affine),
    "sep_conv_7x7": lambda channels, stride, affine: SeparableConv(channels, 7, stride, affine),
    "conv_7x1_1x7": lambda channels, stride, affine: FactorizedConv(channels, 7, stride, affine),
}
"""DARTS's operations. The paper searches over the first eight, in this order; all of them occur in published cells."""

DARTS_SEARCHED: tuple[str, ...] = tuple(DARTS_OPERATIONS)[:8]

NASBENCH201_OPERATIONS: dict[str, Operation] = {
    "none": lambda channels, stride, affine: Zero(stride),
    "skip_connect": _skip,
    "nor_conv_1x1": lambda channels, stride, affine: ReLUConvBN(channels, channels, 1, stride, affine),
    "nor_conv_3x3": lambda channels, stride, affine: ReLUConvBN(channels, channels, 3, stride, affine),
    "avg_pool_3x3": lambda channels, stride, affine: _average_pool(stride),
}
"""The operations of NAS-Bench-201, in its order; inside its cells the stride is always 1."""
