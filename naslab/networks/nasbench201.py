"""The network of NAS-Bench-201, and the supernet over its cells (Dong & Yang 2020, https://arxiv.org/abs/2001.00326).

    stem; N cells at C channels; residual block of stride 2; N cells at 2C; residual block; N cells at 4C;
    batch normalisation, ReLU, average over the image, linear.

A cell has four nodes; node 0 is its input, node 3 its output, and every node is the sum over all earlier nodes, each
through its own operation. Difference from the published network: images of odd size are halved upwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

import torch
from torch import Tensor, nn

from naslab.networks import sizes
from naslab.networks.checkpointing import checkpointed
from naslab.networks.heads import Outputs, head_for
from naslab.networks.mixture import Mixture, mixture, pixels_together, total
from naslab.networks.partial_channels import leaving
from naslab.operations.images import NASBENCH201_OPERATIONS, ReLUConvBN
from naslab.operations.norms import BatchNorm2d
from naslab.operations.optimizations import Optimizations

NODES = 4
EDGES: tuple[tuple[int, int], ...] = tuple((source, node) for node in range(1, NODES) for source in range(node))
"""(source, node) in the order in which a cell is written: 0-1, 0-2, 1-2, 0-3, 1-3, 2-3."""
ROWS_LEAVING = [[EDGES.index((source, node)) for node in range(source + 1, NODES)] for source in range(NODES - 1)]
"""For each node but the last, the edges that leave it."""
STAGES = 3


class ResidualBlock(nn.Module):
    """The block between the stages: [B, channels, H, W] -> [B, 2 channels, ceil(H / 2), ceil(W / 2)]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            ReLUConvBN(channels, 2 * channels, 3, stride=2), ReLUConvBN(2 * channels, 2 * channels, 3)
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, stride=2, ceil_mode=True), nn.Conv2d(channels, 2 * channels, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.convolutions(x)


class Cell(nn.Module):
    """A cell with one operation per edge: [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, operations: Sequence[str], channels: int) -> None:
        super().__init__()
        self.operations = nn.ModuleList(NASBENCH201_OPERATIONS[name](channels, 1, True) for name in operations)

    def forward(self, x: Tensor) -> Tensor:
        states = [x]
        operations = iter(self.operations)
        for node in range(1, NODES):
            incoming = zip(states, islice(operations, node), strict=True)
            states.append(total([operation(state) for state, operation in incoming]))
        return states[-1]


class MixedCell(nn.Module):
    """A cell with every operation on every edge: [B, C, H, W] -> [B, C, H, W].

    Batch normalisation has no affine parameters, which would rescale operations against their architecture weights.
    """

    def __init__(self, operations: Sequence[str], channels: int, one_in: int = 1) -> None:
        super().__init__()
        self.leaving = nn.ModuleList(
            leaving(one_in, operations, rows, channels, 1, _without_parameters) for rows in ROWS_LEAVING
        )

    def forward(self, x: Tensor, by_source: list[Mixture], optimizations: Optimizations) -> Tensor:
        incoming: list[list[Tensor]] = [[] for _ in range(NODES)]
        state = x
        for source, (edges, mixed) in enumerate(zip(self.leaving, by_source, strict=True)):
            for node, terms in enumerate(edges(state, mixed, optimizations), start=source + 1):
                incoming[node].extend(terms)
            terms = incoming[source + 1]
            state = total(terms) if terms else torch.zeros_like(x)
        return state


def _without_parameters(operation: str, channels: int, stride: int) -> nn.Module:
    return NASBENCH201_OPERATIONS[operation](channels, stride, False)


class Skeleton(nn.Module):
    """The network without its cells; `cell` builds a cell from its number of channels."""

    def __init__(
        self,
        cell: Callable[[int], nn.Module],
        input_shape: tuple[int, ...],
        classes: Outputs,
        channels: int,
        cells: int,
    ) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("cells", cells)):
            sizes.positive(name, value)
        channels_in, _, _ = sizes.image(input_shape, STAGES - 1)
        self.stem = nn.Sequential(nn.Conv2d(channels_in, channels, 3, padding=1, bias=False), BatchNorm2d(channels))
        self.layers = nn.ModuleList()
        for stage in range(STAGES):
            if stage > 0:
                self.layers.append(ResidualBlock(channels))
                channels *= 2
            self.layers.extend(cell(channels) for _ in range(cells))
        self.classifier = nn.Sequential(
            BatchNorm2d(channels),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            head_for(channels, classes),
        )


class NASBench201Network(Skeleton):
    """A stand-alone network that repeats one cell.

    Args:
        operations: one per edge, in the order of `EDGES`.
        input_shape: (C, H, W) of the images.
        classes: number of classes, or the heads of a task (`naslab.networks.heads`).
        channels: channels of the first stage (16 in the paper).
        cells: cells per stage, of three stages (5 in the paper).
    """

    def __init__(
        self, operations: Sequence[str], input_shape: tuple[int, ...], classes: Outputs, *, channels: int, cells: int
    ) -> None:
        super().__init__(lambda width: Cell(operations, width), input_shape, classes, channels, cells)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits [B, classes] for images [B, C, H, W]."""
        x = self.stem(x)
        for layer in self.layers:
            x = layer(x)
        return self.classifier(x)


class NASBench201Supernet(Skeleton):
    """The supernet over all cells of NAS-Bench-201, as in the benchmark's own DARTS.

    Arguments are those of `NASBench201Network`, except that `operations` are the candidates, in the order of the
    columns of the weights, and that operations process one in `one_in` channels (`partial_channels.py`).
    """

    optimizations: Optimizations = Optimizations()
    """Optimizations for speed; may be set at any time."""
    checkpointing: bool = False
    """True to recompute each cell in the backward pass instead of storing its activations (`checkpointing.py`)."""

    def __init__(
        self,
        operations: Sequence[str],
        input_shape: tuple[int, ...],
        classes: Outputs,
        *,
        channels: int,
        cells: int,
        one_in: int = 1,
    ) -> None:
        sizes.positive("one_in", one_in)
        super().__init__(lambda width: MixedCell(operations, width, one_in), input_shape, classes, channels, cells)
        self.shape = (len(EDGES), len(operations))

    def forward(self, x: Tensor, weights: Mapping[str, Tensor | Mixture]) -> Tensor:
        """Returns logits [B, classes] for images [B, C, H, W] under the weights {"cell": [6, O]}."""
        by_source = mixture(weights, "cell", *self.shape).by_source(ROWS_LEAVING)
        x = self.stem(x)
        x = pixels_together(x) if self.optimizations.pixels_together else x
        for layer in self.layers:
            if not isinstance(layer, MixedCell):
                x = layer(x)
            elif self.checkpointing:
                x = checkpointed(layer, x, by_source, self.optimizations)
            else:
                x = layer(x, by_source, self.optimizations)
        return self.classifier(x)
