"""The six operations of a layer in ENAS's macro space (Pham et al. 2018, https://arxiv.org/abs/1802.03268, Sec. 2.3).

Each maps [B, channels_in, H, W] to [B, channels, H, W]. As in the authors' code, a 1 x 1 convolution to the layer's
width comes first, and every convolution is followed by batch normalisation and ReLU.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from naslab.operations.norms import BatchNorm2d


def _normalised(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, BatchNorm2d(convolution.out_channels), nn.ReLU())


class Convolution(nn.Sequential):
    """A 1 x 1 convolution, then one of k x k, or a depthwise one of k x k and a pointwise one."""

    def __init__(self, channels_in: int, channels: int, kernel: int, *, separable: bool = False) -> None:
        layers: list[nn.Module] = [_normalised(nn.Conv2d(channels_in, channels, 1, bias=False))]
        if separable:
            layers.append(nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False))
            kernel = 1
        layers.append(_normalised(nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False)))
        super().__init__(*layers)


class Pooling(nn.Sequential):
    """A 1 x 1 convolution, then pooling over 3 x 3 pixels."""

    def __init__(self, channels_in: int, channels: int, pool: nn.Module) -> None:
        super().__init__(_normalised(nn.Conv2d(channels_in, channels, 1, bias=False)), pool)


ENAS_OPERATIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "conv_3x3": lambda channels_in, channels: Convolution(channels_in, channels, 3),
    "sep_conv_3x3": lambda channels_in, channels: Convolution(channels_in, channels, 3, separable=True),
    "conv_5x5": lambda channels_in, channels: Convolution(channels_in, channels, 5),
    "sep_conv_5x5": lambda channels_in, channels: Convolution(channels_in, channels, 5, separable=True),
    "avg_pool_3x3": lambda channels_in, channels: Pooling(
        channels_in, channels, nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    ),
    "max_pool_3x3": lambda channels_in, channels: Pooling(channels_in, channels, nn.MaxPool2d(3, stride=1, padding=1)),
}
"""(channels_in, channels) -> the module, in the order in which the authors' code numbers the operations."""
