"""Networks of NAS-Bench-MR: parallel branches of falling resolution (Ding et al. 2022,
https://arxiv.org/abs/2103.13253; after HRNet, Wang et al. 2020, https://arxiv.org/abs/1908.07919).

    two 3 x 3 convolutions of stride 2;
    modules of one, then two, three and four branches, each branch at half the resolution of the one before:
        fuse: each branch becomes the sum over its neighbours and itself, resized;  then residual blocks on each branch;
    all branches resized to the resolution of the last, concatenated; 1 x 1 convolution, average over the image, linear.

Difference from the published network: images of odd size are halved upwards, and the terms
of a sum are resized to the same resolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from naslab.networks import sizes
from naslab.networks.heads import Outputs, head_for
from naslab.operations.norms import BatchNorm2d

STAGES = 4
"""The modules of stage s have s branches."""
STEM = 2
"""Number of convolutions of stride 2 before the modules."""


class Module(NamedTuple):
    """One module of the network."""

    units: tuple[int, ...]
    """Number of residual blocks on each branch."""
    channels: tuple[int, ...]
    """Number of channels of each branch."""


def convolution(channels_in: int, channels: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Returns a convolution without bias, batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, bias=False),
        BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with a residual connection: [B, C, H, W] -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


class Fusion(nn.Module):
    """Maps the branches of one module to those of the next, which may have one more.

    Branch i sums over branches i - 1 (a convolution of stride 2), i (a convolution) and i + 1 (a 1 x 1 convolution,
    upsampled). A new branch is a convolution of stride 2 on the last one.
    """

    def __init__(self, before: Sequence[int], after: Sequence[int]) -> None:
        super().__init__()
        self.ways = nn.ModuleList()
        for target, channels in enumerate(after[: len(before)]):
            ways = nn.ModuleDict()
            for source in range(max(target - 1, 0), min(target + 2, len(before))):
                kernel, stride = (1, 1) if source > target else (3, 1 + target - source)
                ways[str(source)] = convolution(before[source], channels, kernel, stride)
            self.ways.append(ways)
        grown = zip(after[len(before) - 1 :], after[len(before) :], strict=False)
        self.grown = nn.ModuleList(convolution(channels_in, channels, stride=2) for channels_in, channels in grown)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        fused = []
        for ways in self.ways:
            heard = [way(branches[int(source)]) for source, way in ways.items()]  # type: ignore[operator]
            size = heard[0].shape[2:]
            total = heard[0]
            for other in heard[1:]:
                total = total + (other if other.shape[2:] == size else upsampled(other, size))
            fused.append(functional.relu(total))
        for convolve in self.grown:
            fused.append(convolve(fused[-1]))
        return fused


def upsampled(x: Tensor, size: Sequence[int]) -> Tensor:
    """Returns [B, C, *, *] -> [B, C, *size], by bilinear interpolation."""
    return functional.interpolate(x, tuple(size), mode="bilinear", align_corners=False)


class NASBenchMRNetwork(nn.Module):
    """A stand-alone image classifier.

    Args:
        stem: channels of the two convolutions of the stem.
        modules: modules from first to last.
        head: channels of the last convolution.
        input_shape: (channels, height, width) of an image.
        classes: number of classes, or the heads of a task (`naslab.networks.heads`).
    """

    def __init__(
        self,
        stem: tuple[int, int],
        modules: Sequence[Module],
        head: int,
        input_shape: tuple[int, ...],
        classes: Outputs,
    ) -> None:
        super().__init__()
        image_channels, _, _ = sizes.image(input_shape, reductions=STEM)
        self.stem = nn.Sequential(convolution(image_channels, stem[0], stride=2), convolution(*stem, stride=2))
        self.fusions, self.branches = nn.ModuleList(), nn.ModuleList()
        channels: tuple[int, ...] = stem[1:]
        for module in modules:
            self.fusions.append(Fusion(channels, module.channels))
            channels = module.channels
            self.branches.append(
                nn.ModuleList(
                    nn.Sequential(*(ResidualBlock(width) for _ in range(units)))
                    for units, width in zip(module.units, channels, strict=True)
                )
            )
        self.head = convolution(sum(channels), head, kernel=1)
        self.classifier = head_for(head, classes)

    def forward(self, x: Tensor) -> Tensor:
        """[B, image channels, H, W] -> logits [B, classes]."""
        states = [self.stem(x)]
        for fuse, branches in zip(self.fusions, self.branches, strict=True):
            assert isinstance(branches, nn.ModuleList)
            states = [branch(state) for branch, state in zip(branches, fuse(states), strict=True)]
        size = states[-1].shape[2:]
        together = torch.cat([upsampled(state, size) for state in states[:-1]] + states[-1:], dim=1)
        return self.classifier(self.head(together).mean(dim=(2, 3)))
