"""The network that DARTS searches in: every candidate operation on every edge (Liu et al. 2019, Sec. 2.2 and A.1.1).

Each edge of a cell is a mixed operation; batch normalisation has no learnt scale or shift, so that an operation
cannot undo its weight; pooling is followed by batch normalisation, so that no candidate is louder than another. The
stack of cells is that of the evaluation network (`darts.py`).

The sum that the paper writes is computed by source rather than by edge, several times faster (`mixture.py`).
Differences from the paper: images of any number of channels and any size; an operation whose weight is exactly 0, in
weights that need no gradient, is not computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import call

import torch
from torch import Tensor, nn

from naslab.networks import sizes
from naslab.networks.checkpointing import checkpointed
from naslab.networks.darts import CellPlan, Classifier, Preprocess, Stem, plan, reductions
from naslab.networks.heads import Outputs
from naslab.networks.mixture import Mixture, mixture, pixels_together, total
from naslab.networks.partial_channels import leaving
from naslab.operations.images import DARTS_OPERATIONS
from naslab.operations.norms import BatchNorm2d
from naslab.operations.optimizations import Optimizations


def row(node: int, source: int) -> int:
    """Of the weights, for the edge from a state (0 and 1: the outputs of the cells before; 2 + i: node i) to a node."""
    return node * (node + 3) // 2 + source


def without_parameters(operation: str, channels: int, stride: int) -> nn.Module:
    """Pooling, normalised, and the identity."""
    module = DARTS_OPERATIONS[operation](channels, stride, False)
    return nn.Sequential(module, BatchNorm2d(channels, affine=False)) if "pool" in operation else module


class MixedCell(nn.Module):
    """A cell whose every node reads every state before it through a mixed operation."""

    def __init__(self, cell: CellPlan, nodes: int, operations: tuple[str, ...], one_in: int = 1) -> None:
        super().__init__()
        self.preprocess = Preprocess(cell, affine=False)
        self.stride = 2 if cell.reduction else 1
        self.leaving = nn.ModuleList()
        self.targets = [range(max(0, source - 1), nodes) for source in range(1 + nodes)]
        for source, targets in enumerate(self.targets):
            stride = self.stride if source < 2 else 1
            rows = [row(node, source) for node in targets]
            self.leaving.append(leaving(one_in, operations, rows, cell.channels, stride, without_parameters))

    def forward(
        self, before_last: Tensor, last: Tensor, by_source: list[Mixture], optimizations: Optimizations
    ) -> Tensor:
        states = self.preprocess(before_last, last)
        incoming: list[list[Tensor]] = [[] for _ in self.targets[0]]
        for source, targets in enumerate(self.targets):
            outputs = self.leaving[source](states[source], by_source[source], optimizations)
            for node, terms in zip(targets, outputs, strict=True):
                incoming[node].extend(terms)
            if source > 0:  # all edges into node `source - 1` have been seen
                terms = incoming[source - 1]
                states.append(total(terms) if terms else self._zeros(states[0]))
        return torch.cat(states[2:], dim=1)

    def _zeros(self, state: Tensor) -> Tensor:
        """A node that nothing enters."""
        return torch.zeros_like(state[:, :, :: self.stride, :: self.stride])


class DartsSupernet(nn.Module):
    """All cells of a DARTS space at once.

    Args:
        operations: the candidates, in the order of the columns of the weights.
        nodes: of a cell; node i has 2 + i edges, so that a cell has E = nodes (nodes + 3) / 2.
        input_shape: (C, H, W) of the images.
        classes: how many; or the heads of a task (`naslab.networks.heads`).
        channels: of the nodes of the first cells (16 in the paper).
        cells: how many (8 in the paper).
        one_in: operations work on one channel in so many (`partial_channels.py`).
    """

    optimizations: Optimizations = Optimizations()
    """What it does to be fast; may be set at any time."""
    checkpointing: bool = False
    """Whether the backward pass computes each cell again instead of keeping it (`checkpointing.py`)."""

    def __init__(
        self,
        operations: tuple[str, ...],
        nodes: int,
        input_shape: tuple[int, ...],
        classes: Outputs,
        *,
        channels: int,
        cells: int,
        one_in: int = 1,
    ) -> None:
        super().__init__()
        for name, value in (
            ("nodes", nodes),
            ("channels", channels),
            ("cells", cells),
            ("one_in", one_in),
        ):
            sizes.positive(name, value)
        channels_in, _, _ = sizes.image(input_shape, len(reductions(cells)))
        self.shape = (nodes * (nodes + 3) // 2, len(operations))
        self.stem = Stem(channels_in, channels)
        plans = list(plan(channels, cells, {"normal": nodes, "reduce": nodes}))
        self.parts = [cell.part for cell in plans]
        self.cells = nn.ModuleList(MixedCell(cell, nodes, operations, one_in) for cell in plans)
        self.rows = [leaving.rows for leaving in self.cells[0].leaving]  # type: ignore[union-attr]
        self.classifier = Classifier(nodes * plans[-1].channels, classes)

    def forward(self, x: Tensor, weights: Mapping[str, Tensor | Mixture]) -> Tensor:
        """Logits [B, classes] of images [B, C, H, W] under the weights {"normal": [E, O], "reduce": [E, O]}."""
        by_source = {part: mixture(weights, part, *self.shape).by_source(self.rows) for part in ("normal", "reduce")}
        x = self.stem(x)
        before_last = last = pixels_together(x) if self.optimizations.pixels_together else x
        for part, cell in zip(self.parts, self.cells, strict=True):
            run = checkpointed if self.checkpointing else call
            before_last, last = last, run(cell, before_last, last, by_source[part], self.optimizations)
        return self.classifier(last)
