"""Mixed operations: all candidates on one edge, blended by weights (Liu et al. 2019, Eq. 2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from naslab.errors import SpecError
from naslab.operations.images import Zero

EdgeWeights = Sequence[Tensor | None]
"""[O] scalars, one an operation; None for an operation that is not to be computed."""


def edge_weights(weights: Mapping[str, Tensor], part: str, edges: int, operations: int) -> list[EdgeWeights]:
    """The matrix [E, O] of a part as scalars, edge by edge.

    An entry that is exactly 0 in a matrix that needs no gradient becomes None: it would add nothing.
    """
    matrix = weights.get(part)
    if matrix is None or matrix.shape != (edges, operations):
        came = "nothing" if matrix is None else f"shape {tuple(matrix.shape)}"
        raise SpecError(f"the weights of {part!r} must have shape ({edges}, {operations}), got {came}")
    rows = [row.unbind() for row in matrix.unbind()]
    if matrix.requires_grad:
        return list(rows)
    values = matrix.tolist()
    return [
        [scalar if value != 0 else None for scalar, value in zip(row, row_values, strict=True)]
        for row, row_values in zip(rows, values, strict=True)
    ]


def total(terms: Sequence[Tensor]) -> Tensor:
    """The sum of one or more tensors, first to last."""
    return reduce(torch.add, terms)


def pixels_together(x: Tensor) -> Tensor:
    """The same x [B, C, H, W], on the CPU with the channels of a pixel side by side in memory: depthwise
    convolutions and pools are about twice as fast so, and what follows keeps the layout."""
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" else x


class MixedOperation(nn.Module):
    """The weighted sum of the candidate operations on one edge; `none` adds nothing and is not computed."""

    def __init__(self, operations: Iterable[nn.Module], stride: int) -> None:
        super().__init__()
        self.operations = nn.ModuleList(operations)
        self.stride = stride

    def forward(self, x: Tensor, weights: EdgeWeights) -> Tensor:
        """x: [B, C, H, W]; the result has ceil(H / stride) x ceil(W / stride) pixels."""
        terms = [
            weight * operation(x)
            for weight, operation in zip(weights, self.operations, strict=True)
            if weight is not None and not isinstance(operation, Zero)
        ]
        if not terms:
            return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])
        return total(terms)
