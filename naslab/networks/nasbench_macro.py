"""The network of NAS-Bench-Macro (Su et al. 2021, https://arxiv.org/abs/2103.11922, Table 6).

    3 x 3 convolution to C channels; 2 layers of 2C, 3 of 4C, 3 of 8C, the first of each with stride 2;
    1 x 1 convolution to 40C, average over the image, linear.

A layer is an inverted residual block (MobileNetV2) of expansion 3 and kernel 3 or of expansion 6 and kernel 5, or
nothing: the identity, which at a stride or a change of width is a 1 x 1 convolution. Difference from the published
network: images of odd size are halved upwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from torch import Tensor, nn

from naslab.networks import sizes
from naslab.networks.heads import Outputs, head_for
from naslab.networks.single_path import SinglePathChain
from naslab.operations.norms import BatchNorm2d

STAGES = ((2, 2), (3, 4), (3, 8))
"""(layers, width in units of C) of each stage."""
LAYERS = sum(layers for layers, _ in STAGES)
BLOCKS: dict[str, tuple[int, int] | None] = {"identity": None, "mb3_k3": (3, 3), "mb6_k5": (6, 5)}
"""Option -> (expansion, kernel)."""


def convolution(
    channels_in: int, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1, activation: bool = True
) -> nn.Sequential:
    """Returns a convolution without bias, batch normalisation and, if `activation`, ReLU6."""
    layers = [
        nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        BatchNorm2d(channels),
    ]
    return nn.Sequential(*layers, *([nn.ReLU6(inplace=True)] if activation else []))


class InvertedResidual(nn.Module):
    """Expand, convolve depthwise, project linearly: [B, C, H, W] -> [B, C', ceil(H / stride), ceil(W / stride)]."""

    def __init__(self, channels_in: int, channels: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = expansion * channels_in
        self.convolutions = nn.Sequential(
            convolution(channels_in, wide),
            convolution(wide, wide, kernel, stride, groups=wide),
            convolution(wide, channels, activation=False),
        )
        self.residual = stride == 1 and channels_in == channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.convolutions(x) if self.residual else self.convolutions(x)


def layer(option: str, channels_in: int, channels: int, stride: int) -> nn.Module:
    """Returns the layer for an option: [B, channels_in, H, W] -> [B, channels, ceil(H / stride), ceil(W / stride)]."""
    block = BLOCKS[option]
    if block is not None:
        return InvertedResidual(channels_in, channels, *block, stride)
    if stride == 1 and channels_in == channels:
        return nn.Identity()
    return convolution(channels_in, channels, stride=stride, activation=False)


def places(channels: int) -> Iterator[tuple[int, int, int]]:
    """Yields (channels in, channels out, stride) of each layer."""
    width = channels
    for layers, units in STAGES:
        for position in range(layers):
            yield width, units * channels, 2 if position == 0 else 1
            width = units * channels


def _ends(input_shape: tuple[int, ...], classes: Outputs, channels: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Returns the stem, the last convolution and the classifier."""
    image_channels, _, _ = sizes.image(input_shape, reductions=len(STAGES))
    stem = convolution(image_channels, sizes.positive("channels", channels), 3)
    return stem, convolution(STAGES[-1][1] * channels, 40 * channels), head_for(40 * channels, classes)


class NASBenchMacroNetwork(nn.Module):
    """A stand-alone chain of eight layers with one option each.

    Args:
        options: one of `BLOCKS` for each layer.
        input_shape: (channels, height, width) of an image.
        channels: C; 32 in the benchmark.
    """

    def __init__(
        self, options: Sequence[str], input_shape: tuple[int, ...], classes: Outputs, *, channels: int
    ) -> None:
        super().__init__()
        self.stem, self.head, self.classifier = _ends(input_shape, classes, channels)
        pairs = zip(options, places(channels), strict=True)
        self.chain = nn.Sequential(*(layer(option, *place) for option, place in pairs))

    def forward(self, x: Tensor) -> Tensor:
        """[B, image channels, H, W] -> logits [B, classes]."""
        return self.classifier(self.head(self.chain(self.stem(x))).mean(dim=(2, 3)))


def single_path_nasbench_macro(input_shape: tuple[int, ...], classes: Outputs, *, channels: int) -> SinglePathChain:
    """Returns a supernet over all networks of the space, which computes a single path at a time."""
    stem, head, classifier = _ends(input_shape, classes, channels)
    chain = [{option: layer(option, *place) for option in BLOCKS} for place in places(channels)]
    build = partial(NASBenchMacroNetwork, input_shape=input_shape, classes=classes, channels=channels)
    return SinglePathChain(stem, chain, head, classifier, build)
