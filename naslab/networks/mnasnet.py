"""Networks of segments of equal blocks, as in MnasNet (Tan et al. 2019, https://arxiv.org/abs/1807.11626, Sec. 4.1).

    3 x 3 convolution; segment after segment, each a number of equal blocks, the first with the segment's stride;
    1 x 1 convolution, average over the image, linear

A block is a convolution ("conv"), a depthwise separable one ("dwconv") or an inverted residual of expansion 3 or 6
("mbconv3", "mbconv6"), optionally with squeeze-and-excitation. A skip is added to its output: nothing, the identity, or
a 3 x 3 average pooling. Every convolution is followed by batch normalisation and ReLU, except the last one of a
separable convolution or inverted residual, which has no ReLU.

Details that the paper leaves open are as follows here: the identity is used only if the block changes neither the
image size nor the width; pooling has the stride of the block, and is cut or zero-padded to its number of channels.
Images of odd size are halved upwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from naslab.networks import sizes
from naslab.networks.heads import Outputs, head_for
from naslab.operations.norms import BatchNorm2d

KERNELS = (3, 5)
SKIPS = ("none", "identity", "pool")


class ConvNorm(nn.Sequential):
    """A convolution without bias, batch normalisation and, if `activation`, ReLU."""

    def __init__(
        self, channels_in: int, channels: int, kernel: int, stride: int = 1, groups: int = 1, activation: bool = True
    ) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
            BatchNorm2d(channels),
            *([nn.ReLU(inplace=True)] if activation else []),
        )


class SqueezeExcitation(nn.Module):
    """Scales each channel by a gate computed from the means of all channels (Hu et al. 2018, https://arxiv.org/abs/1709.01507)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.weights = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeezed, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights(x)


@dataclass(frozen=True)
class Segment:
    """A sequence of equal blocks."""

    operation: str
    kernel: int
    excitation: float
    """Channels inside squeeze-and-excitation, as a fraction of the input channels of the block; 0 for none."""
    skip: str
    channels: int
    layers: int
    stride: int
    """Stride of the first block; the others have stride 1."""


def _convolutions(segment: Segment, channels_in: int, stride: int) -> nn.Sequential:
    kernel, channels = segment.kernel, segment.channels

    def excitation(width: int) -> list[nn.Module]:
        squeezed = max(1, int(channels_in * segment.excitation))
        return [SqueezeExcitation(width, squeezed)] if segment.excitation else []

    if segment.operation == "conv":
        return nn.Sequential(ConvNorm(channels_in, channels, kernel, stride), *excitation(channels))
    wide = channels_in * EXPANSIONS[segment.operation]
    return nn.Sequential(
        *([ConvNorm(channels_in, wide, 1)] if segment.operation != "dwconv" else []),
        ConvNorm(wide, wide, kernel, stride, groups=wide),
        *excitation(wide),
        ConvNorm(wide, channels, 1, activation=False),
    )


EXPANSIONS = {"conv": 1, "dwconv": 1, "mbconv3": 3, "mbconv6": 6}
"""Operation -> expansion factor of its hidden width."""


class Block(nn.Module):
    """[B, channels_in, H, W] -> [B, channels, ceil(H / stride), ceil(W / stride)]."""

    def __init__(self, segment: Segment, channels_in: int, stride: int) -> None:
        super().__init__()
        self.convolutions = _convolutions(segment, channels_in, stride)
        self.skip: nn.Module | None = None
        if segment.skip == "pool":
            self.skip = nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)
        elif segment.skip == "identity" and stride == 1 and channels_in == segment.channels:
            self.skip = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.convolutions(x)
        if self.skip is None:
            return y
        beside = self.skip(x)[:, : y.shape[1]]
        return y + F.pad(beside, (0, 0, 0, 0, 0, y.shape[1] - beside.shape[1]))


class MnasNetNetwork(nn.Module):
    """A stand-alone chain of segments.

    Args:
        segments: segments from first to last.
        input_shape: (C, H, W) of the images.
        classes: number of classes, or the heads of a task (`naslab.networks.heads`).
        stem: channels of the first convolution.
        stem_stride: stride of the first convolution.
        head: channels of the last convolution.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        input_shape: tuple[int, ...],
        classes: Outputs,
        *,
        stem: int,
        stem_stride: int,
        head: int,
    ) -> None:
        super().__init__()
        halvings = [stem_stride, *(segment.stride for segment in segments)].count(2)
        image_channels, _, _ = sizes.image(input_shape, halvings)
        layers: list[nn.Module] = [ConvNorm(image_channels, stem, 3, stem_stride)]
        width = stem
        for segment in segments:
            for position in range(segment.layers):
                layers.append(Block(segment, width, segment.stride if position == 0 else 1))
                width = segment.channels
        self.layers = nn.Sequential(*layers, ConvNorm(width, head, 1))
        self.classifier = head_for(head, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits [B, classes] for images [B, C, H, W]."""
        return self.classifier(self.layers(x).mean(dim=(2, 3)))
