"""The six primitive operations of hierarchical motifs (Liu et al. 2018, https://arxiv.org/abs/1711.00436, Sec. 2.2).

Each maps [B, C, H, W] to [B, C, H, W]; a convolution is followed by batch normalisation and ReLU.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from naslab.operations.norms import BatchNorm2d


class Convolution(nn.Sequential):
    """Convolutions without bias one after the other, batch normalisation, ReLU."""

    def __init__(self, *convolutions: nn.Conv2d) -> None:
        super().__init__(*convolutions, BatchNorm2d(convolutions[-1].out_channels), nn.ReLU(inplace=True))


def depthwise(channels: int, stride: int = 1) -> nn.Conv2d:
    """Returns a depthwise 3 x 3 convolution."""
    return nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)


def pointwise(channels_in: int, channels: int) -> nn.Conv2d:
    """Returns a 1 x 1 convolution."""
    return nn.Conv2d(channels_in, channels, 1, bias=False)


PRIMITIVES: dict[str, Callable[[int], nn.Module]] = {
    "conv_1x1": lambda channels: Convolution(pointwise(channels, channels)),
    "depthwise_3x3": lambda channels: Convolution(depthwise(channels)),
    "sep_conv_3x3": lambda channels: Convolution(depthwise(channels), pointwise(channels, channels)),
    "max_pool_3x3": lambda channels: nn.MaxPool2d(3, stride=1, padding=1),
    "avg_pool_3x3": lambda channels: nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
    "identity": lambda channels: nn.Identity(),
}
"""Channels -> the module."""
