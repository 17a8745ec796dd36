"""Networks of large-scale evolution (Real et al. 2017, https://arxiv.org/abs/1703.01041, Sec. 3.2 and 3.3).

    state 0 <- the image
    state l <- convolution of (state l - 1 + the states that skip to it); then batch normalisation and ReLU, or neither
    logits  <- a linear map of the last state, pixel by pixel

A skipping state is first resized to state l - 1 by nearest-neighbour interpolation, and its channels are cut or padded
by zeros. So a skip has no weights, and a network without layers is a linear model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from naslab.networks import sizes
from naslab.networks.heads import Outputs, head_for
from naslab.operations.norms import BatchNorm2d


class Evolved(NamedTuple):
    """A convolution."""

    kernel: tuple[int, int]
    """(height, width), both odd."""
    channels: int
    stride: int
    nonlinear: bool
    """Whether batch normalisation and ReLU follow; else it is linear."""
    skips: tuple[int, ...]
    """States added to the one before it: 0 is the image, l the output of layer l."""

    def module(self, channels_in: int) -> nn.Sequential:
        padding = (self.kernel[0] // 2, self.kernel[1] // 2)
        convolution = nn.Conv2d(channels_in, self.channels, self.kernel, self.stride, padding, bias=not self.nonlinear)
        return nn.Sequential(convolution, *((BatchNorm2d(self.channels), nn.ReLU()) if self.nonlinear else ()))


class EvolvedNetwork(nn.Module):
    """A network of such layers.

    Args:
        layers: first to last; none: a linear model.
        input_shape: (C, H, W) of the images.
        classes: how many; or the heads of a task (`naslab.networks.heads`).
    """

    def __init__(self, layers: Sequence[Evolved], input_shape: tuple[int, ...], classes: Outputs) -> None:
        super().__init__()
        channels, height, width = sizes.image(input_shape, reductions=0)
        self.skips = tuple(layer.skips for layer in layers)
        self.layers = nn.ModuleList()
        for layer in layers:
            self.layers.append(layer.module(channels))
            channels = layer.channels
            height, width = (-(-size // layer.stride) for size in (height, width))
        self.classifier = head_for(channels * height * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, classes] of images [B, C, H, W]."""
        states = [x]
        for layer, skips in zip(self.layers, self.skips, strict=True):
            before = states[-1]
            for state in skips:
                before = before + like(states[state], before)
            states.append(layer(before))
        return self.classifier(states[-1].flatten(1))


def like(state: Tensor, other: Tensor) -> Tensor:
    """Returns the state with the channels and the size of the other one; both are [B, C, H, W]."""
    if state.shape[2:] != other.shape[2:]:
        state = F.interpolate(state, size=other.shape[2:], mode="nearest")
    missing = other.shape[1] - state.shape[1]
    return F.pad(state, (0, 0, 0, 0, 0, missing)) if missing >= 0 else state[:, : other.shape[1]]


def relatives(child: Sequence[Evolved], parent: Sequence[Evolved]) -> dict[int, int]:
    """Returns position of a layer in the child -> position of the layer in the parent that it stems from.

    If both have the same length, layers correspond one to one. Otherwise they correspond from the front up to the first
    difference, and the rest from the end; the layer between was inserted or removed. Among equal neighbours this may
    pick another one than the mutation did, which makes no difference.
    """
    more = len(child) - len(parent)
    if more == 0:
        return {place: place for place in range(len(child))}
    same = 0
    while same < min(len(child), len(parent)) and child[same] == parent[same]:
        same += 1
    front = {place: place for place in range(same)}
    return front | {place: place - more for place in range(same + max(0, more), len(child))}


def renamed(state: Mapping[str, Tensor], child: Sequence[Evolved], parent: Sequence[Evolved]) -> dict[str, Tensor]:
    """Returns the parent's weights under the names that they have in the child."""
    children = {before: place for place, before in relatives(child, parent).items()}
    found = {}
    for name, tensor in state.items():
        part, _, rest = name.partition(".")
        if part != "layers":
            found[name] = tensor
            continue
        number, _, rest = rest.partition(".")
        if int(number) in children:
            found[f"layers.{children[int(number)]}.{rest}"] = tensor
    return found
