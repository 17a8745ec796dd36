"""Networks of chains of layers, with or without skips between them (NAS-RL and MetaQNN).

    state 0 <- the image;  state l <- layer l on its merged inputs;
    logits  <- linear map of the global average of the states that no layer reads, merged

States are merged by concatenation, or by summation with a 1 x 1 convolution on those that are narrower than the widest;
states of smaller size are first padded by zeros to the largest (Zoph & Le 2017, https://arxiv.org/abs/1611.01578,
Sec. 3.3). A convolution is followed by batch normalisation and ReLU; sizes are divided by the stride and rounded up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from naslab.networks import sizes
from naslab.networks.heads import Outputs, head_for
from naslab.networks.mixture import total
from naslab.operations.norms import BatchNorm2d

MERGES = ("concat", "sum")


class Layer(NamedTuple):
    """A convolution or a pooling."""

    kind: str
    """"conv", "max_pool" or "avg_pool"."""
    kernel: tuple[int, int]
    """(height, width); odd for a convolution."""
    stride: int
    """Stride of both axes."""
    channels: int
    """Output channels of a convolution; pooling keeps the channels of its input."""
    sources: tuple[int, ...]
    """States that it reads: 0 is the image, l the output of layer l."""

    def module(self, channels_in: int) -> nn.Module:
        """Returns the module: [B, channels_in, H, W] -> [B, channels, ceil(H / stride), ceil(W / stride)]."""
        padding = (self.kernel[0] // 2, self.kernel[1] // 2)
        if self.kind == "conv":
            return nn.Sequential(
                nn.Conv2d(channels_in, self.channels, self.kernel, self.stride, padding, bias=False),
                BatchNorm2d(self.channels),
                nn.ReLU(inplace=True),
            )
        if self.kernel[0] % 2 == 0:  # windows that do not overlap; the last one may reach beyond the image
            pool = nn.MaxPool2d if self.kind == "max_pool" else nn.AvgPool2d
            return pool(self.kernel, self.stride, ceil_mode=True)
        if self.kind == "max_pool":
            return nn.MaxPool2d(self.kernel, self.stride, padding)
        return nn.AvgPool2d(self.kernel, self.stride, padding, count_include_pad=False)


class Merge(nn.Module):
    """Merges several states, [B, C_i, H_i, W_i] each, into one [B, C, max H_i, max W_i]."""

    def __init__(self, widths: Sequence[int], merge: str) -> None:
        super().__init__()
        self.merge = merge
        self.channels = sum(widths) if merge == "concat" else max(widths)
        self.projections = nn.ModuleList(
            nn.Identity()
            if merge == "concat" or width == self.channels
            else nn.Sequential(nn.Conv2d(width, self.channels, 1, bias=False), BatchNorm2d(self.channels))
            for width in widths
        )

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        height, width = (max(state.shape[axis] for state in states) for axis in (2, 3))
        terms = [
            F.pad(projection(state), (0, width - state.shape[3], 0, height - state.shape[2]))
            for projection, state in zip(self.projections, states, strict=True)
        ]
        return torch.cat(terms, dim=1) if self.merge == "concat" else total(terms)


def unused_states(layers: Sequence[Layer]) -> tuple[int, ...]:
    """Returns the states that no layer reads, which make the output of the network; never empty."""
    read = {source for layer in layers for source in layer.sources}
    return tuple(state for state in range(1, len(layers) + 1) if state not in read)


class ChainNetwork(nn.Module):
    """A network of layers.

    Args:
        layers: the layers, first to last.
        input_shape: (C, H, W) of the images.
        classes: number of classes; or the heads of a task (`naslab.networks.heads`).
        merge: "concat" or "sum".
    """

    def __init__(
        self, layers: Sequence[Layer], input_shape: tuple[int, ...], classes: Outputs, *, merge: str = "concat"
    ) -> None:
        super().__init__()
        sizes.one_of("merge", merge, MERGES)
        channels, _, _ = sizes.image(input_shape, reductions=0)
        self.sources = tuple(layer.sources for layer in layers)
        self.output = unused_states(layers)
        widths = [channels]
        self.merges, self.layers = nn.ModuleList(), nn.ModuleList()
        for layer in layers:
            merged = Merge([widths[source] for source in layer.sources], merge)
            self.merges.append(merged)
            self.layers.append(layer.module(merged.channels))
            widths.append(layer.channels if layer.kind == "conv" else merged.channels)
        self.last = Merge([widths[state] for state in self.output], merge)
        self.classifier = head_for(self.last.channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits [B, classes] of images [B, C, H, W]."""
        states = [x]
        for layer, merge, sources in zip(self.layers, self.merges, self.sources, strict=True):
            states.append(layer(merge([states[source] for source in sources])))
        return self.classifier(self.last([states[state] for state in self.output]).mean(dim=(2, 3)))
