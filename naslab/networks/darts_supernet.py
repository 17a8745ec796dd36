"""The network that DARTS searches in: every candidate operation on every edge (Liu et al. 2019, Sec. 2.2 and A.1.1).

Each edge of a cell is a mixed operation; batch normalisation has no learnt scale or shift, so that an operation
cannot undo its weight; pooling is followed by batch normalisation, so that no candidate is louder than another. The
stack of cells is that of the evaluation network (`darts.py`).

The mixture is the sum that the paper writes, operation after operation. Differences from the paper: images of any
number of channels and any size; an operation whose weight is exactly 0 can be left out (`mixture.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from naslab.networks import sizes
from naslab.networks.darts import CellPlan, Classifier, Preprocess, Stem, plan, reductions
from naslab.networks.mixture import EdgeWeights, MixedOperation, edge_weights, pixels_together, total
from naslab.operations.images import DARTS_OPERATIONS


def candidate(operation: str, channels: int, stride: int) -> nn.Module:
    """The operation as it is in the search: without affine parameters, pooling normalised."""
    module = DARTS_OPERATIONS[operation](channels, stride, False)
    return nn.Sequential(module, nn.BatchNorm2d(channels, affine=False)) if "pool" in operation else module


class MixedCell(nn.Module):
    """A cell whose every node reads every state before it through a mixed operation."""

    def __init__(self, cell: CellPlan, nodes: int, operations: tuple[str, ...]) -> None:
        super().__init__()
        self.preprocess = Preprocess(cell, affine=False)
        self.nodes = nodes
        self.edges = nn.ModuleList()
        for node in range(nodes):
            for source in range(2 + node):
                stride = 2 if cell.reduction and source < 2 else 1
                self.edges.append(
                    MixedOperation((candidate(name, cell.channels, stride) for name in operations), stride)
                )

    def forward(self, before_last: Tensor, last: Tensor, weights: list[EdgeWeights]) -> Tensor:
        states = self.preprocess(before_last, last)
        row = 0
        for _ in range(self.nodes):
            rows = range(row, row + len(states))
            row = rows.stop
            states.append(total([self.edges[r](state, weights[r]) for r, state in zip(rows, states, strict=True)]))
        return torch.cat(states[2:], dim=1)


class DartsSupernet(nn.Module):
    """All cells of a DARTS space at once.

    Args:
        operations: the candidates, in the order of the columns of the weights.
        nodes: of a cell; node i has 2 + i edges, so that a cell has E = nodes (nodes + 3) / 2.
        input_shape: (C, H, W) of the images.
        classes: how many.
        channels: of the nodes of the first cells (16 in the paper).
        cells: how many (8 in the paper).
    """

    def __init__(
        self,
        operations: tuple[str, ...],
        nodes: int,
        input_shape: tuple[int, ...],
        classes: int,
        *,
        channels: int,
        cells: int,
    ) -> None:
        super().__init__()
        for name, value in (("nodes", nodes), ("channels", channels), ("cells", cells), ("classes", classes)):
            sizes.positive(name, value)
        channels_in, _, _ = sizes.image(input_shape, len(reductions(cells)))
        self.shape = (nodes * (nodes + 3) // 2, len(operations))
        self.stem = Stem(channels_in, channels)
        plans = list(plan(channels, cells, {"normal": nodes, "reduce": nodes}))
        self.parts = [cell.part for cell in plans]
        self.cells = nn.ModuleList(MixedCell(cell, nodes, operations) for cell in plans)
        self.classifier = Classifier(nodes * plans[-1].channels, classes)

    def forward(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Logits [B, classes] of images [B, C, H, W] under the weights {"normal": [E, O], "reduce": [E, O]}."""
        scalars = {part: edge_weights(weights, part, *self.shape) for part in ("normal", "reduce")}
        before_last = last = pixels_together(self.stem(x))
        for part, cell in zip(self.parts, self.cells, strict=True):
            before_last, last = last, cell(before_last, last, scalars[part])
        return self.classifier(last)
