"""Mixed operations: all candidates on every edge, blended by weights (Liu et al. 2019, Eq. 2).

What is computed is the published mixture, edge by edge

    x_node  =  sum over the edges (state -> node)  sum over operations o  of  weight[edge, o] * o(x_state)

but not edge by edge: `Leaving` holds all edges that leave one state, which all read the same pixels, and computes them
together. `Tricks` names what it does to be fast, and turns each of it off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn

from naslab.errors import SpecError
from naslab.networks.batch_norm import frozen_statistics
from naslab.operations.stacked import STACKED, Rectified, average_pooled, of_edges
from naslab.operations.tricks import Tricks


@dataclass(frozen=True)
class Mixture:
    """The weights of the operations on some edges."""

    weights: Tensor
    """[E, O]."""
    used: list[list[bool]]
    """False where an operation is not to be computed: its weight is exactly 0, and needs no gradient."""

    def by_source(self, rows: Sequence[Sequence[int]]) -> list[Mixture]:
        """The same weights, taken apart: one mixture for each list of rows."""
        return [Mixture(self.weights[list(some)], [self.used[row] for row in some]) for some in rows]

    def edges_that_use(self, column: int) -> list[int]:
        return [edge for edge, used in enumerate(self.used) if used[column]]


def mixture(weights: Mapping[str, Tensor | Mixture], part: str, edges: int, operations: int) -> Mixture:
    """Of all edges of a part; a `Mixture` says by itself what is to be computed, and may need a gradient."""
    given = weights.get(part)
    matrix = given.weights if isinstance(given, Mixture) else given
    if matrix is None or matrix.shape != (edges, operations):
        came = "nothing" if matrix is None else f"shape {tuple(matrix.shape)}"
        raise SpecError(f"the weights of {part!r} must have shape ({edges}, {operations}), got {came}")
    if isinstance(given, Mixture):
        return given
    used = torch.ones_like(matrix, dtype=torch.bool) if matrix.requires_grad else matrix != 0
    return Mixture(matrix, used.tolist())


def total(terms: Sequence[Tensor]) -> Tensor:
    """The sum of one or more tensors, first to last."""
    return reduce(torch.add, terms)


def pixels_together(x: Tensor) -> Tensor:
    """The same x [B, C, H, W], on the CPU with the channels of a pixel side by side in memory; it stays so."""
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" else x


Outputs = tuple[Sequence[int], Sequence[Tensor]]
"""Some edges, and for each of them a term of its output."""


class Leaving(nn.Module):
    """All candidate operations on the D edges that leave one state.

    Args:
        operations: the candidates, in the order of the columns of the weights; `none` adds nothing, and is not here.
        rows: of the weights, one for each of the D edges.
        channels: of every state.
        stride: of these edges.
        without_parameters: (operation, channels, stride) -> one module for all edges, for the operations that have no
            parameters.
    """

    def __init__(
        self,
        operations: Sequence[str],
        rows: Sequence[int],
        channels: int,
        stride: int,
        without_parameters: Callable[[str, int, int], nn.Module],
    ) -> None:
        super().__init__()
        self.rows, self.edges, self.channels = list(rows), len(rows), channels
        self.shared, self.stacked = nn.ModuleDict(), nn.ModuleDict()
        self.columns = {name: column for column, name in enumerate(operations)}
        for name in operations:
            if name in STACKED and not (name == "skip_connect" and stride == 1):
                self.stacked[name] = STACKED[name](len(rows), channels, stride)
            elif name != "none":
                self.shared[name] = without_parameters(name, channels, stride)

    def forward(self, x: Tensor, mixture: Mixture, tricks: Tricks) -> list[list[Tensor]]:
        """x: [B, C, H, W]; for each edge, terms [B, C, ceil(H / stride), ceil(W / stride)] whose sum is its output."""
        terms: list[list[Tensor]] = [[] for _ in range(self.edges)]
        for edges, blended in (
            *self._without_parameters(x, mixture, tricks),
            *self._with_parameters(x, mixture, tricks),
        ):
            for edge, term in zip(edges, blended, strict=True):
                terms[edge].append(term)
        return terms

    def _without_parameters(self, x: Tensor, mixture: Mixture, tricks: Tricks) -> Iterator[Outputs]:
        used = {name: edges for name in self.shared if (edges := mixture.edges_that_use(self.columns[name]))}
        if not used:
            return
        if not tricks.shared:
            for name, edges in used.items():
                for edge in edges:
                    weight = mixture.weights[edge, self.columns[name]]
                    if edge == edges[0]:
                        yield [edge], [weight * self._one_for_all(name, x, tricks)]
                    else:
                        with frozen_statistics(self.shared[name]):
                            yield [edge], [weight * self._one_for_all(name, x, tricks)]
            return
        results = torch.stack([self._one_for_all(name, x, tricks).permute(0, 2, 3, 1) for name in used])
        weights = mixture.weights[:, [self.columns[name] for name in used]]  # [D, K]; results: [K, B, H', W', C]
        blended = (weights.to(results) @ results.flatten(1)).unflatten(1, results.shape[1:])
        yield range(self.edges), blended.permute(0, 1, 4, 2, 3).unbind()

    def _one_for_all(self, name: str, x: Tensor, tricks: Tricks) -> Tensor:
        """The output of an operation without parameters: [B, C, H', W']."""
        operation = self.shared[name]
        if not tricks.pooling_by_convolution or x.device.type != "cpu":
            return operation(x)
        for module in operation if isinstance(operation, nn.Sequential) else [operation]:
            x = average_pooled(module, x) if isinstance(module, nn.AvgPool2d) else module(x)
        return x

    def _with_parameters(self, x: Tensor, mixture: Mixture, tricks: Tricks) -> Iterator[Outputs]:
        rectified = Rectified(x)
        groups: dict[tuple[int, ...], list[Tensor]] = {}
        scales = mixture.weights.t().repeat_interleave(self.channels, dim=1)  # [O, D C]
        for name, operation in self.stacked.items():
            used = mixture.edges_that_use(self.columns[name])
            scale = scales[self.columns[name]]
            for edges in [used] if tricks.stacked and used else [[edge] for edge in used]:
                source = rectified if tricks.shared else Rectified(x)
                output = operation(source, edges, of_edges(scale, self.edges, edges), tricks)
                groups.setdefault(tuple(edges), []).append(output)
        for edges, outputs in groups.items():
            yield edges, total(outputs).chunk(len(edges), dim=1)
