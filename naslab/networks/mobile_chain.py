"""The chain of inverted residual blocks of ProxylessNAS (Cai et al. 2019, https://arxiv.org/abs/1812.00332, Sec. 4.2).

    3 x 3 convolution to C channels; a depthwise separable convolution to C/2;
    stages of layers, in each layer one block, the first of a stage with the stage's stride and width;
    1 x 1 convolution to 40C, average over the image, linear

A block is an inverted residual (MobileNetV2) with a kernel of 3, 5 or 7 and an expansion of 3 or 6. Blocks after the
first of a stage change neither size nor width, and may be skipped: the identity. Difference from the published network:
images of odd size are halved upwards.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from naslab.networks import sizes
from naslab.networks.heads import Outputs, head_for
from naslab.networks.nasbench_macro import InvertedResidual, convolution
from naslab.networks.single_path import SinglePathChain

STAGES = ((4, 24, 2), (4, 40, 2), (4, 80, 2), (4, 96, 1), (4, 192, 2), (1, 320, 1))
"""(largest number of layers, width for C = 32, stride) of each stage."""
BLOCKS = {f"mb{expansion}_k{kernel}": (expansion, kernel) for expansion in (3, 6) for kernel in (3, 5, 7)}
"""Option -> (expansion, kernel)."""
IDENTITY = "identity"


class Place(NamedTuple):
    """Position of a layer in the chain, which fixes the shapes of its input and output."""

    channels_in: int
    channels: int
    stride: int
    first: bool
    """True for the first layer of a stage; the others keep the shape, and may be the identity."""

    def make(self, option: str) -> nn.Module:
        """Returns an option's block: [B, channels_in, H, W] -> [B, channels, ceil(H / stride), ceil(W / stride)]."""
        if option == IDENTITY:
            return nn.Identity()
        return InvertedResidual(self.channels_in, self.channels, *BLOCKS[option], self.stride)


def width(channels: int, of_32: int) -> int:
    """Returns a width scaled to C = `channels`; `of_32` is the width for C = 32."""
    return max(1, round(channels * of_32 / 32))


def places(channels: int, stages: int, layers: int) -> list[Place]:
    """Returns the layers of the chain, first to last.

    Args:
        channels: C.
        stages: number of stages, the first of `STAGES`.
        layers: largest number of layers of a stage.
    """
    found, before = [], width(channels, 16)
    for most, of_32, stride in STAGES[:stages]:
        after = width(channels, of_32)
        for position in range(min(most, layers)):
            found.append(Place(before, after, 1 if position else stride, position == 0))
            before = after
    return found


def _ends(
    chain: Sequence[Place], input_shape: tuple[int, ...], classes: Outputs, channels: int, stem_stride: int
) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Returns the stem, the last convolution and the classifier."""
    halvings = [stem_stride, *(place.stride for place in chain)].count(2)
    image_channels, _, _ = sizes.image(input_shape, halvings)
    head = 40 * channels
    stem = nn.Sequential(
        convolution(image_channels, channels, 3, stem_stride),
        convolution(channels, channels, 3, groups=channels),
        convolution(channels, chain[0].channels_in, activation=False),
    )
    return stem, convolution(chain[-1].channels, head), head_for(head, classes)


class MobileChainNetwork(nn.Module):
    """A stand-alone chain of blocks.

    Args:
        options: one of `BLOCKS`, or the identity, for each layer.
        input_shape: (channels, height, width) of an image.
        classes: number of classes, or the heads of a task (`naslab.networks.heads`).
        channels: C; 32 in the paper.
        stages: number of stages, the first of `STAGES`.
        layers: largest number of layers of a stage.
        stem_stride: stride of the first convolution.
    """

    def __init__(
        self,
        options: Sequence[str],
        input_shape: tuple[int, ...],
        classes: Outputs,
        *,
        channels: int,
        stages: int,
        layers: int,
        stem_stride: int,
    ) -> None:
        super().__init__()
        chain = places(sizes.positive("channels", channels), stages, layers)
        self.stem, self.head, self.classifier = _ends(chain, input_shape, classes, channels, stem_stride)
        made = itertools.starmap(Place.make, zip(chain, options, strict=True))
        self.chain = nn.Sequential(*made)

    def forward(self, x: Tensor) -> Tensor:
        """[B, image channels, H, W] -> logits [B, classes]."""
        return self.classifier(self.head(self.chain(self.stem(x))).mean(dim=(2, 3)))


def single_path_chain(
    offered: Sequence[Collection[str]],
    input_shape: tuple[int, ...],
    classes: Outputs,
    *,
    channels: int,
    stages: int,
    layers: int,
    stem_stride: int,
) -> SinglePathChain:
    """Returns a supernet over all chains; `offered` holds the options of each layer."""
    chain = places(sizes.positive("channels", channels), stages, layers)
    stem, head, classifier = _ends(chain, input_shape, classes, channels, stem_stride)
    pairs = zip(chain, offered, strict=True)
    candidates = [{option: place.make(option) for option in options} for place, options in pairs]
    built = {"channels": channels, "stages": stages, "layers": layers, "stem_stride": stem_stride}
    alone = partial(MobileChainNetwork, input_shape=input_shape, classes=classes, **built)
    return SinglePathChain(stem, candidates, head, classifier, alone)
