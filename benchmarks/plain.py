"""The two supernets as published: every operation on every edge by itself, and nothing done to be fast.

What the fast ones of `naslab.networks` are measured against, in time here and in value in their tests. The arguments,
and the names in `state_dict` but for `edges`, are theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from naslab.networks import nasbench201
from naslab.networks.darts import Classifier, Preprocess, Stem, plan
from naslab.networks.darts_supernet import row
from naslab.operations.images import DARTS_OPERATIONS, NASBENCH201_OPERATIONS


def darts_candidate(operation: str, channels: int, stride: int) -> nn.Module:
    module = DARTS_OPERATIONS[operation](channels, stride, False)
    return nn.Sequential(module, nn.BatchNorm2d(channels, affine=False)) if "pool" in operation else module


def nasbench201_candidate(operation: str, channels: int, stride: int) -> nn.Module:
    return NASBENCH201_OPERATIONS[operation](channels, stride, False)


class MixedOperation(nn.Module):
    """All candidates on one edge (Liu et al. 2019, Eq. 2)."""

    def __init__(
        self, operations: Sequence[str], channels: int, stride: int, candidate: Callable[[str, int, int], nn.Module]
    ) -> None:
        super().__init__()
        self.operations = nn.ModuleList(candidate(name, channels, stride) for name in operations)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """x: [B, C, H, W]; weights: [O]."""
        return sum(weight * operation(x) for weight, operation in zip(weights, self.operations, strict=True))  # type: ignore[return-value]


class PlainDartsCell(nn.Module):
    def __init__(self, cell, nodes: int, operations: Sequence[str]) -> None:
        super().__init__()
        self.nodes = nodes
        self.preprocess = Preprocess(cell, affine=False)
        self.edges = nn.ModuleList(
            MixedOperation(operations, cell.channels, 2 if cell.reduction and source < 2 else 1, darts_candidate)
            for node in range(nodes)
            for source in range(2 + node)
        )

    def forward(self, before_last: Tensor, last: Tensor, weights: Tensor) -> Tensor:
        states = self.preprocess(before_last, last)
        for node in range(self.nodes):
            rows = [row(node, source) for source in range(2 + node)]
            states.append(sum(self.edges[r](state, weights[r]) for r, state in zip(rows, states, strict=True)))
        return torch.cat(states[2:], dim=1)


class PlainDartsSupernet(nn.Module):
    def __init__(
        self,
        operations: Sequence[str],
        nodes: int,
        input_shape: tuple[int, ...],
        classes: int,
        *,
        channels: int,
        cells: int,
    ) -> None:
        super().__init__()
        self.stem = Stem(input_shape[0], channels)
        plans = list(plan(channels, cells, {"normal": nodes, "reduce": nodes}))
        self.parts = [cell.part for cell in plans]
        self.cells = nn.ModuleList(PlainDartsCell(cell, nodes, operations) for cell in plans)
        self.classifier = Classifier(nodes * plans[-1].channels, classes)

    def forward(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        before_last = last = self.stem(x)
        for part, cell in zip(self.parts, self.cells, strict=True):
            before_last, last = last, cell(before_last, last, weights[part])
        return self.classifier(last)


class PlainNASBench201Cell(nn.Module):
    def __init__(self, operations: Sequence[str], channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(
            MixedOperation(operations, channels, 1, nasbench201_candidate) for _ in nasbench201.EDGES
        )

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        states = [x]
        for node in range(1, nasbench201.NODES):
            rows = [nasbench201.EDGES.index((source, node)) for source in range(node)]
            states.append(sum(self.edges[r](state, weights[r]) for r, state in zip(rows, states, strict=True)))
        return states[-1]


class PlainNASBench201Supernet(nasbench201.Skeleton):
    def __init__(
        self, operations: Sequence[str], input_shape: tuple[int, ...], classes: int, *, channels: int, cells: int
    ) -> None:
        super().__init__(lambda width: PlainNASBench201Cell(operations, width), input_shape, classes, channels, cells)

    def forward(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        x = self.stem(x)
        for layer in self.layers:
            x = layer(x, weights["cell"]) if isinstance(layer, PlainNASBench201Cell) else layer(x)
        return self.classifier(x)
