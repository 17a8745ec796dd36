"""The compiled weight gradient of a depthwise convolution (`depthwise.c`).

No other part of such a convolution is worth it: PyTorch's are fast forward, and the gradient of the input is one too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from naslab.operations.kernels import Kernel, has_layout, in_parts, kernel

SIZES = (3, 5, 7)
"""Sides of the convolution's kernels that there is code for."""


def fits(x: Tensor, weight: Tensor) -> bool:
    """Whether the kernel can do it: channels side by side, a square kernel of a known size."""
    side, other = weight.shape[2:]
    return side == other and side in SIZES and has_layout(x) and kernel("depthwise", x.shape[1], x.dtype) is not None


def weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    """[C, 1, k, k]: of the depthwise convolution of x [B, C, H, W], from its output's, [B, C, P, Q]; see `fits`."""
    batch, channels, height, width = x.shape
    side = weight.shape[2]
    found = torch.empty(side, side, channels, dtype=x.dtype)
    run = Kernel("depthwise", channels, x.dtype)
    about = batch, channels, height, width, *gradient.shape[2:], stride, dilation
    in_parts(side, gradient.numel(), lambda _, i, j: run.weight_gradient(side, i, j, x, gradient, found, *about))
    return found.permute(2, 0, 1).unsqueeze(1).contiguous()
