"""The network that DARTS searches in: every candidate operation on every edge (Liu et al. 2019, Sec. 2.2 and A.1.1).

Each edge of a cell is a mixed operation. Batch normalisation has no learnt scale or shift, with which an operation
could undo its weight in the mixture; pooling is followed by batch normalisation, so that all candidates have outputs of
the same variance. The stack of cells is that of the evaluation network (`darts.py`).

The sum of the paper is computed by source state rather than by edge, which is several times faster (`mixture.py`).
Differences from the paper: images of any number of channels and any size; an operation whose weight is exactly 0, in
weights that need no gradient, is not computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from naslab.networks import sizes
from naslab.networks.checkpointing import checkpointed
from naslab.networks.darts import CellPlan, Classifier, Preprocess, Stem, plan, reductions
from naslab.networks.fused_edges import fused, hooked, projectable, projection
from naslab.networks.heads import Outputs
from naslab.networks.mixture import MixedEdges, Mixture, mixture, pixels_together, total
from naslab.networks.partial_channels import leaving
from naslab.operations.images import DARTS_OPERATIONS
from naslab.operations.norms import BatchNorm2d
from naslab.operations.optimizations import Optimizations

Nodes = Sequence[Tensor]
"""Output of a cell: its nodes [B, C, H, W], where a kernel reads them so; else one tensor, in which they are joined."""


def joined(nodes: Nodes) -> Tensor:
    """Returns the nodes concatenated, [B, nodes C, H, W]."""
    return nodes[0] if len(nodes) == 1 else torch.cat(list(nodes), dim=1)


def row(node: int, source: int) -> int:
    """Returns the row of the mixture weights for the edge from a state (0, 1: inputs; 2 + i: node i) to a node."""
    return node * (node + 3) // 2 + source


def without_parameters(operation: str, channels: int, stride: int) -> nn.Module:
    """Returns an operation without parameters: the identity, or pooling followed by normalisation."""
    module = DARTS_OPERATIONS[operation](channels, stride, False)
    return nn.Sequential(module, BatchNorm2d(channels, affine=False)) if "pool" in operation else module


class MixedCell(nn.Module):
    """A cell in which every node reads every earlier state through a mixed operation."""

    def __init__(self, cell: CellPlan, nodes: int, operations: tuple[str, ...], one_in: int = 1) -> None:
        super().__init__()
        self.preprocess = Preprocess(cell, affine=False)
        self.stride = 2 if cell.reduction else 1
        self.leaving = nn.ModuleList()
        # the nodes that each state leads to; state 2 + i is node i, which leads to nodes i + 1, i + 2, ...
        self.targets = [range(max(0, source - 1), nodes) for source in range(1 + nodes)]
        for source, targets in enumerate(self.targets):
            stride = self.stride if source < 2 else 1
            rows = [row(node, source) for node in targets]
            self.leaving.append(leaving(one_in, operations, rows, cell.channels, stride, without_parameters))

    def forward(self, before_last: Nodes, last: Nodes, by_source: list[Mixture], optimizations: Optimizations) -> Nodes:
        states = self._preprocessed(before_last, last, optimizations)
        incoming: list[list[Tensor]] = [[] for _ in self.targets[0]]
        for source, targets in enumerate(self.targets):
            leaving, mixture = self.leaving[source], by_source[source]
            so_far = [incoming[node] for node in targets]
            sums = None
            if optimizations.running_sum and all(so_far) and isinstance(leaving, MixedEdges):
                sums = fused(leaving, states[source], mixture, optimizations, so_far)
            outputs = leaving(states[source], mixture, optimizations) if sums is None else [[one] for one in sums]
            for node, terms in zip(targets, outputs, strict=True):
                incoming[node] = terms if sums is not None else [*incoming[node], *terms]
            # Node i reads states 0 to i + 1, so that its terms are complete once state i + 1 has been processed.
            if source > 0:
                terms = incoming[source - 1]
                states.append(total(terms) if terms else self._zeros(states[0]))
        nodes = states[2:]
        return nodes if self.training and projectable(nodes, optimizations) else [torch.cat(nodes, dim=1)]

    def _preprocessed(self, before_last: Nodes, last: Nodes, optimizations: Optimizations) -> list[Tensor]:
        """Returns the two inputs of the cell [B, C, H, W]."""
        if not projectable([*before_last, *last], optimizations) or hooked(self.preprocess):
            return self.preprocess(joined(before_last), joined(last))
        pairs = (self.preprocess.before_last, before_last), (self.preprocess.last, last)
        found = [(module, nodes, projection(module, nodes, optimizations)) for module, nodes in pairs]
        return [module(joined(nodes)) if output is None else output for module, nodes, output in found]

    def _zeros(self, state: Tensor) -> Tensor:
        """Returns the value of a node none of whose operations is computed."""
        return torch.zeros_like(state[:, :, :: self.stride, :: self.stride])


class DartsSupernet(nn.Module):
    """All cells of a DARTS space at once.

    Args:
        operations: the O candidates, in the order of the columns of the weights.
        nodes: number of nodes of a cell; node i has 2 + i edges, so that a cell has E = nodes (nodes + 3) / 2.
        input_shape: (C, H, W) of the images.
        classes: number of classes; or the heads of a task (`naslab.networks.heads`).
        channels: channels of the nodes of the first cells (16 in the paper).
        cells: number of cells (8 in the paper).
        one_in: operations see one channel in this many (`partial_channels.py`).
    """

    optimizations: Optimizations = Optimizations()
    """Optimizations in use; may be set at any time."""
    checkpointing: bool = False
    """True if the backward pass computes each cell again instead of keeping it (`checkpointing.py`)."""

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
        """Returns logits [B, classes] of images [B, C, H, W] under weights {"normal": [E, O], "reduce": [E, O]}."""
        by_source = {part: mixture(weights, part, *self.shape).by_source(self.rows) for part in ("normal", "reduce")}
        x = self.stem(x)
        before_last = last = [pixels_together(x) if self.optimizations.pixels_together else x]
        for part, cell in zip(self.parts, self.cells, strict=True):
            given = before_last, last, by_source[part], self.optimizations
            before_last, last = last, checkpointed(cell, *given) if self.checkpointing else cell(*given)
        return self.classifier(joined(last))
