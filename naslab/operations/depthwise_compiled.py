"""The compiled weight gradient of a depthwise convolution (`depthwise.c`).

Only this part is compiled: PyTorch's forward pass is fast, and the input gradient is a forward pass (`depthwise.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from naslab.operations.kernels import Kernel, has_layout, in_parts, kernel

SIZES = (3, 5, 7)
"""Kernel sizes that `depthwise.c` implements; each is a function of its own with its loops unrolled."""


def fits(x: Tensor, weight: Tensor) -> bool:
    """Returns True if the compiled kernel applies: channels last, a square kernel of one of `SIZES`."""
    side, other = weight.shape[2:]
    return side == other and side in SIZES and has_layout(x) and kernel("depthwise", x.shape[1], x.dtype) is not None


def weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    """Returns the weight gradient [C, 1, k, k] of a depthwise convolution; requires `fits`.

    Each thread computes whole rows of the kernel, so that the result does not depend on the number of threads.

    Args:
        gradient: of the output, [B, C, P, Q].
        x: the input, [B, C, H, W].
        weight: [C, 1, k, k]; only its shape is used.
        stride: of both axes.
        dilation: of both axes.
    """
    batch, channels, height, width = x.shape
    side = weight.shape[2]
    found = torch.empty(side, side, channels, dtype=x.dtype)  # channels last, as the kernel writes it
    run = Kernel("depthwise", channels, x.dtype)
    about = batch, channels, height, width, *gradient.shape[2:], stride, dilation
    in_parts(side, gradient.numel(), lambda _, i, j: run.weight_gradient(side, i, j, x, gradient, found, *about))
    return found.permute(2, 0, 1).unsqueeze(1).contiguous()
