"""The network of an ENAS micro architecture (Pham et al. 2018, https://arxiv.org/abs/1802.03268, Sec. 2.4).

    stem: 3 x 3 convolution of the image to three times the channels
    cell: states 0 and 1 are its inputs, converted to its width and size; state 2, 3, ... is the sum of two operations,
          each on one earlier state; states that no node reads are concatenated and projected by a 1 x 1 convolution
    at 1/3 and 2/3 of the depth a reduction cell: the preceding output is halved in size and doubled in width
          (factorized reduction), and the cell reads both versions of it
    ReLU, average over the last output, linear

All operations inside a cell keep the size. This is the network in which the authors' code *searches*. The final network
that it trains (its `_fixed_layer`) connects the same cells differently: operations on the inputs of a reduction cell
have stride 2, and outputs stay concatenated.

Further differences from the authors' code: images of odd size are halved upwards; no dropout, no auxiliary head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from naslab.networks import sizes
from naslab.networks.darts import Stem, reductions
from naslab.networks.heads import Outputs, head_for
from naslab.operations.images import DARTS_OPERATIONS, FactorizedReduce, ReLUConvBN

MICRO_OPERATIONS: tuple[str, ...] = ("sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3", "skip_connect")
"""Operations in the numbering of the authors' code; each is the DARTS operation of the same name."""


class Node(NamedTuple):
    """Two states, and an operation on each."""

    inputs: tuple[int, int]
    operations: tuple[str, str]


MicroCell = Sequence[Node]


def unused_states(nodes: MicroCell) -> list[int]:
    """Returns the states, including inputs of the cell, that no node reads. They are its output, and never empty."""
    read = {source for node in nodes for source in node.inputs}
    return [state for state in range(2 + len(nodes)) if state not in read]


class MicroPlan(NamedTuple):
    """Position of a cell in the stack: the widths of its inputs, and its own."""

    channels_before_last: int
    channels_last: int
    channels: int
    """Number of channels of all states of the cell, and of its output."""
    reduction: bool


def plan(channels: int, cells: int) -> Iterator[MicroPlan]:
    """Yields the plans of the cells, first to last."""
    before_last = last = 3 * channels
    for position in range(cells):
        reduction = position in reductions(cells)
        channels *= 2 if reduction else 1
        yield MicroPlan(before_last, last, channels, reduction)
        before_last, last = channels if reduction else last, channels


def operation(name: str, channels: int) -> nn.Module:
    """Returns an operation by name: [B, C, H, W] -> [B, C, H, W]."""
    return DARTS_OPERATIONS[name](channels, 1, True)


class Entrance(nn.Module):
    """States 0 and 1 of a cell, both [B, channels, H, W], from the two outputs before it.

    A reduction cell reads the last output only: state 1 is a halved version of it, which the next cell also reads as
    its `before_last`; state 0 is a second halved version.
    """

    def __init__(self, at: MicroPlan) -> None:
        super().__init__()
        self.halving = FactorizedReduce(at.channels_last, at.channels, relu=False) if at.reduction else None
        self.before_last = (
            FactorizedReduce(at.channels_last, at.channels)
            if at.reduction
            else _fitting(at.channels_before_last, at.channels)
        )
        self.last = nn.Identity() if at.reduction else _fitting(at.channels_last, at.channels)

    def forward(self, before_last: Tensor, last: Tensor) -> tuple[list[Tensor], Tensor]:
        """Returns states 0 and 1, and the last output in the form that the next cell reads."""
        if self.halving is None:
            return [self.before_last(before_last), self.last(last)], last
        halved = self.halving(last)
        return [self.before_last(last), halved], halved


def _fitting(channels_in: int, channels: int) -> nn.Module:
    return nn.Identity() if channels_in == channels else ReLUConvBN(channels_in, channels, 1)


class Cell(nn.Module):
    """One cell: outputs of the two cells before -> the two outputs that the next cell reads."""

    def __init__(self, nodes: MicroCell, at: MicroPlan) -> None:
        super().__init__()
        self.nodes, self.output = tuple(nodes), unused_states(nodes)
        self.entrance = Entrance(at)
        self.operations = nn.ModuleList(operation(name, at.channels) for node in nodes for name in node.operations)
        self.merge = ReLUConvBN(len(self.output) * at.channels, at.channels, 1)

    def forward(self, before_last: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the two outputs that the next cell reads."""
        states, last = self.entrance(before_last, last)
        operations = iter(self.operations)
        for node in self.nodes:
            first, second = (next(operations)(states[source]) for source in node.inputs)
            states.append(first + second)
        return last, self.merge(torch.cat([states[state] for state in self.output], dim=1))


class EnasMicroNetwork(nn.Module):
    """A stand-alone network.

    Args:
        cells: cells from first to last; those at 1/3 and 2/3 of the depth are reduction cells.
        input_shape: (C, H, W) of the images.
        classes: number of classes, or the heads of a task (`naslab.networks.heads`).
        channels: channels of the states of the first cells, doubled by each reduction.
    """

    def __init__(
        self, cells: Sequence[MicroCell], input_shape: tuple[int, ...], classes: Outputs, *, channels: int
    ) -> None:
        super().__init__()
        image_channels, _, _ = sizes.image(input_shape, len(reductions(len(cells))))
        self.stem = Stem(image_channels, sizes.positive("channels", channels))
        plans = list(plan(channels, len(cells)))
        self.cells = nn.ModuleList(Cell(nodes, at) for nodes, at in zip(cells, plans, strict=True))
        self.classifier = head_for(plans[-1].channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits [B, classes] for images [B, C, H, W]."""
        before_last = last = self.stem(x)
        for cell in self.cells:
            before_last, last = cell(before_last, last)
        return self.classifier(last.relu().mean(dim=(2, 3)))
