"""The network of an ENAS macro architecture (Pham et al. 2018, https://arxiv.org/abs/1802.03268, Sec. 2.3).

    state 0 <- 3 x 3 convolution of the image
    state l <- operation of layer l on state l - 1, concatenated with the states that skip to l, and a 1 x 1
               convolution back to the layer's width (layers 2, 3, ...)
    after a third and after two thirds of the layers: every state is halved and doubled in width (factorized reduction)
    average over the last state, linear

Differences from the authors' code: only states that are read later are reduced; no dropout; images of odd size are
halved upwards.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from naslab.networks import sizes
from naslab.networks.heads import Outputs, head_for
from naslab.operations.enas import ENAS_OPERATIONS
from naslab.operations.images import FactorizedReduce, ReLUConvBN
from naslab.operations.norms import BatchNorm2d

Layer = tuple[str, tuple[int, ...]]
"""An operation, and the states that skip to the layer."""


def reductions(layers: int) -> tuple[int, ...]:
    """Returns the layers after which all states are reduced; none if there are fewer than three layers."""
    return (layers // 3, 2 * (layers // 3)) if layers > 2 else ()


class MacroLayer(nn.Module):
    """One layer at constant width."""

    def __init__(self, operation: str, skips: Sequence[int], channels: int, *, first: bool) -> None:
        super().__init__()
        self.operation = ENAS_OPERATIONS[operation](channels, channels)
        self.skips = tuple(skips)
        self.merge = nn.Identity() if first else ReLUConvBN((1 + len(skips)) * channels, channels, 1)

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """Returns the next state [B, C, H, W] from all states so far (empty if no later layer reads them)."""
        beside = [states[skip] for skip in self.skips]
        return self.merge(torch.cat([*beside, self.operation(states[-1])], dim=1))


class Reduction(nn.Module):
    """Each state that is still read, [B, C, H, W] -> [B, 2C, ceil(H / 2), ceil(W / 2)]; the others are dropped."""

    def __init__(self, states: Sequence[int], channels: int) -> None:
        super().__init__()
        self.by_state = nn.ModuleDict({str(state): FactorizedReduce(channels, 2 * channels) for state in states})

    def forward(self, states: Sequence[Tensor]) -> list[Tensor]:
        dropped = states[0].new_empty(0)
        return [
            self.by_state[str(number)](state) if str(number) in self.by_state else dropped
            for number, state in enumerate(states)
        ]


class EnasMacroNetwork(nn.Module):
    """A stand-alone network.

    Args:
        layers: layers from first to last. State 0 is the output of the stem; a layer always reads the state before it.
        input_shape: (C, H, W) of the images.
        classes: number of classes, or the heads of a task (`naslab.networks.heads`).
        channels: channels of the stem, doubled at each of two reductions.
    """

    def __init__(
        self, layers: Sequence[Layer], input_shape: tuple[int, ...], classes: Outputs, *, channels: int
    ) -> None:
        super().__init__()
        reduced = reductions(len(layers))
        image_channels, _, _ = sizes.image(input_shape, len(reduced))
        self.stem = nn.Sequential(
            nn.Conv2d(image_channels, sizes.positive("channels", channels), 3, padding=1, bias=False),
            BatchNorm2d(channels),
        )
        self.layers = nn.ModuleList()
        self.reductions = nn.ModuleDict()
        for number, (operation, skips) in enumerate(layers, start=1):
            self.layers.append(MacroLayer(operation, skips, channels, first=number == 1))
            if number in reduced:
                later = {state for _, others in layers[number:] for state in others if state <= number}
                self.reductions[str(number)] = Reduction(sorted(later | {number}), channels)
                channels *= 2
        self.classifier = head_for(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits [B, classes] for images [B, C, H, W]."""
        states = [self.stem(x)]
        for number, layer in enumerate(self.layers, start=1):
            states.append(layer(states))
            if str(number) in self.reductions:
                states = self.reductions[str(number)](states)
        return self.classifier(states[-1].mean(dim=(2, 3)))
