"""The thirteen operations of the NASNet space (Zoph et al. 2018, https://arxiv.org/abs/1707.07012, Sec. 3.1).

Built as those of DARTS (`images.py`), which has some of them: [B, C, H, W] -> [B, C, ceil(H / stride), ...], ReLU
before the convolutions and batch normalisation after. Difference from the paper: the dilated convolution is depthwise
separable.
"""

from __future__ import annotations

from torch import nn

from naslab.operations.images import DARTS_OPERATIONS, FactorizedConv, Operation, ReLUConvBN


def _max_pool(kernel: int, stride: int) -> nn.Module:
    return nn.MaxPool2d(kernel, stride, padding=kernel // 2)


NASNET_OPERATIONS: dict[str, Operation] = {
    "skip_connect": DARTS_OPERATIONS["skip_connect"],
    "conv_3x1_1x3": lambda channels, stride, affine: FactorizedConv(channels, 3, stride, affine),
    "conv_7x1_1x7": DARTS_OPERATIONS["conv_7x1_1x7"],
    "dil_conv_3x3": DARTS_OPERATIONS["dil_conv_3x3"],
    "avg_pool_3x3": DARTS_OPERATIONS["avg_pool_3x3"],
    "max_pool_3x3": DARTS_OPERATIONS["max_pool_3x3"],
    "max_pool_5x5": lambda channels, stride, affine: _max_pool(5, stride),
    "max_pool_7x7": lambda channels, stride, affine: _max_pool(7, stride),
    "conv_1x1": lambda channels, stride, affine: ReLUConvBN(channels, channels, 1, stride, affine),
    "conv_3x3": lambda channels, stride, affine: ReLUConvBN(channels, channels, 3, stride, affine),
    "sep_conv_3x3": DARTS_OPERATIONS["sep_conv_3x3"],
    "sep_conv_5x5": DARTS_OPERATIONS["sep_conv_5x5"],
    "sep_conv_7x7": DARTS_OPERATIONS["sep_conv_7x7"],
}
"""In the order of the paper, under the names of the published genotypes."""
