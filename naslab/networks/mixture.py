"""Mixed operations: the weighted sum of all candidates on every edge (Liu et al. 2019, Eq. 2).

The published mixture is

    x_node  =  sum over the edges (state -> node)  sum over operations o  of  weight[edge, o] * o(x_state)

It is not computed edge by edge: `MixedEdges` holds all edges that leave one state, which read the same tensor, and
computes them together. The terms are the same, and only the order of additions differs, so that results agree with the
plain sum to rounding. `Optimizations` lists what makes it fast, and turns each of it off.

Letters in shapes: E edges of a part, D edges that leave one state, O operations, S operations without parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import reduce
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from naslab.errors import SpecError
from naslab.networks.batch_norm import frozen_statistics
from naslab.networks.fused_edges import fused
from naslab.networks.skip_dropout import SkipMasks
from naslab.operations.indexing import picked
from naslab.operations.optimizations import Optimizations
from naslab.operations.stacked import STACKED, Rectified, average_pooled, blended, one_pass, rows_of_edges

SKIP = "skip_connect"
"""The operation whose output `SkipMasks` applies dropout to."""


@dataclass(frozen=True)
class Mixture:
    """Weights of the operations on some edges, and which of the operations are computed.

    The searcher knows which weights are zero and passes `used` as Python bools. If the supernet read them out of the
    tensor, it would fail on the meta device, which has no numbers, and wait for the GPU in every step.
    """

    weights: Tensor
    """[E, O]."""
    used: Sequence[Sequence[bool]]
    """[E][O]: False where an operation is not to be computed: its weight is exactly 0, and needs no gradient."""
    masks: SkipMasks | None = None
    """Dropout behind skip connections; a supernet that cannot apply it refuses it."""

    @classmethod
    def of_all(cls, weights: Tensor) -> Mixture:
        """Returns the mixture of weights [E, O] in which every operation is computed."""
        return cls(weights, [[True] * weights.shape[1]] * len(weights))

    @classmethod
    def one_hot(cls, kept: np.ndarray, device: torch.device | str = "cpu") -> Mixture:
        """Returns the mixture of one architecture: only operations at which `kept` [E, O] is not 0 are computed."""
        return cls(torch.from_numpy(kept).to(device), (kept != 0).tolist())

    def by_source(self, rows: Sequence[Sequence[int]]) -> list[Mixture]:
        """Returns one mixture for each list of rows: for each source state, the edges that leave it."""
        edges = self.weights.unbind()  # views, and no index, for which a GPU would be waited for
        return [
            Mixture(torch.stack([edges[row] for row in some]), [self.used[row] for row in some], self.masks)
            for some in rows
        ]

    def edges_that_use(self, column: int) -> list[int]:
        """Returns the edges on which the operation of this column is computed."""
        return [edge for edge, used in enumerate(self.used) if used[column]]


def mixture(weights: Mapping[str, Tensor | Mixture], part: str, edges: int, operations: int) -> Mixture:
    """Returns the mixture of a part. Raises `SpecError` unless its weights have shape [edges, operations]."""
    given = weights.get(part)
    matrix = given.weights if isinstance(given, Mixture) else given
    if matrix is None or matrix.shape != (edges, operations):
        came = "nothing" if matrix is None else f"shape {tuple(matrix.shape)}"
        raise SpecError(f"the weights of {part!r} must have shape ({edges}, {operations}), got {came}")
    return as_mixture(given if isinstance(given, Mixture) else matrix)


def as_mixture(weights: Tensor | Mixture) -> Mixture:
    """Returns a mixture of weights [E, O]. For a bare tensor, operations with a weight of exactly 0 are not computed,
    unless the tensor needs a gradient (which is not 0 there)."""
    if isinstance(weights, Mixture):
        return weights
    if weights.requires_grad or weights.is_meta:
        return Mixture.of_all(weights)
    return Mixture(weights, (weights != 0).tolist())


@runtime_checkable
class Operations(Protocol):
    """A module with all candidate operations on some edges of a part, which computes what a `Mixture` says.

    Features that need access to single operations use this protocol: dropout behind skip connections, costs of
    operations, conversion of weights edge by edge. A supernet of the user's that consists of such modules has all of
    them; any other gets an error that names what it lacks.
    """

    rows: Sequence[int]
    """Rows of the weights of the part, one for each of the D edges."""
    columns: Mapping[str, int]
    """Operation -> column of the weights."""

    def drops_skips(self, *, identity_only: bool) -> bool:
        """Returns True if the module has skip connections that the masks of a mixture apply to.

        Args:
            identity_only: count only those that are the identity, not the ones that halve the image.
        """
        ...

    def tensors(self) -> Iterator[tuple[str, int, str, bool]]:
        """Yields for each tensor of the state: its name; the column of its operation; its name in that operation alone;
        and True if it is D tensors, one for each edge, along the first dimension (False: one for all edges)."""
        ...


def operations_of(supernet: nn.Module) -> dict[str, Operations]:
    """Returns name of the module -> the `Operations` of a supernet, without those that are inside others."""
    found: dict[str, Operations] = {}
    outer: str | None = None
    for name, module in supernet.named_modules():
        inside = outer is not None and (outer == "" or name.startswith(f"{outer}."))
        if not inside and isinstance(module, Operations):
            found[name], outer = module, name
    return found


def takes_mixtures(supernet: nn.Module) -> bool:
    """Returns True if a supernet takes a `Mixture` for the weights of a part: if it is made of `Operations` or has the
    attribute `takes_mixtures`. Any other takes bare weights [E, O]."""
    return bool(getattr(supernet, "takes_mixtures", False)) or bool(operations_of(supernet))


def total(terms: Sequence[Tensor]) -> Tensor:
    """Returns the sum of one or more tensors, added first to last, so that rounding is reproducible."""
    return reduce(torch.add, terms)


def pixels_together(x: Tensor) -> Tensor:
    """Returns x [B, C, H, W], on the CPU in channels-last layout, which convolutions then keep."""
    return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" else x


class MixedEdges(nn.Module):
    """All candidate operations on the D edges that leave one state.

    Args:
        operations: the candidates, in the order of the columns of the weights. `none` adds nothing and has no module.
        rows: rows of the weights, one for each of the D edges.
        channels: number of channels of every state.
        stride: stride of these edges.
        without_parameters: (operation, channels, stride) -> one module for all edges, for an operation without
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
        self.rows, self.edges, self.channels, self.stride = list(rows), len(rows), channels, stride
        self.shared, self.stacked = nn.ModuleDict(), nn.ModuleDict()
        self.columns = {name: column for column, name in enumerate(operations)}
        for name in operations:
            if name in STACKED and not (name == "skip_connect" and stride == 1):
                self.stacked[name] = STACKED[name](len(rows), channels, stride)
            elif name != "none":
                self.shared[name] = without_parameters(name, channels, stride)

    def forward(self, x: Tensor, mixture: Mixture, optimizations: Optimizations) -> list[list[Tensor]]:
        """Returns for each edge terms [B, C, ceil(H / stride), ceil(W / stride)] whose sum is its output.

        x is [B, C, H, W]. The caller adds the terms of all edges into a node; here they would be added twice.
        """
        if (sums := fused(self, x, mixture, optimizations)) is not None:
            return [[one] for one in sums]
        terms: list[list[Tensor]] = [[] for _ in range(self.edges)]

        def add(edges: Sequence[int], outputs: Sequence[Tensor]) -> None:
            for edge, output in zip(edges, outputs, strict=True):
                terms[edge].append(output)

        # 1. Operations without parameters: one result serves all edges, weighted below.
        names = [name for name in self.shared if mixture.edges_that_use(self.columns[name])]
        masks = mixture.masks if SKIP in self.columns else None
        drop = None if masks is None else masks.of(self, x.device)
        if masks is not None and drop is not None and masks.each_edge and SKIP in names:
            names.remove(SKIP)
            for edge in mixture.edges_that_use(self.columns[SKIP]):
                add(
                    [edge],
                    [
                        mixture.weights[edge, self.columns[SKIP]].to(x)
                        * drop(self.output_of_shared(SKIP, x, optimizations))
                    ],
                )
        shared = [self.output_of_shared(name, x, optimizations, drop) for name in names] if optimizations.shared else []
        weight = picked(mixture.weights, [self.columns[name] for name in names], dim=1).t()  # [S, D]
        # 2. Operations with parameters: the weight of an operation is the scale of its last normalisation. `contiguous`
        # copies, because PyTorch's batch normalisation has wrong gradients for an expanded scale (stride 0).
        scales = mixture.weights.t().unsqueeze(2).expand(-1, -1, self.channels).contiguous().flatten(1)  # [O, D C]
        rectified = Rectified(x)
        for edges, group in self._groups(mixture, optimizations).items():
            of_group = [rows_of_edges(scales[self.columns[name]], self.edges, edges) for name in group]
            state = rectified if optimizations.shared else Rectified(x)
            dropped = drop if masks is not None and SKIP in group and not masks.identity_only else None
            # Dropout and forward hooks need the output of each operation, which the fused sum below never makes.
            if dropped or any(self.stacked[name]._forward_hooks for name in group):
                outputs = [
                    self.stacked[n](state, edges, s, optimizations) for n, s in zip(group, of_group, strict=True)
                ]
                if dropped:
                    outputs[group.index(SKIP)] = dropped(outputs[group.index(SKIP)])
                add(edges, total(outputs).chunk(len(edges), dim=1))
                continue
            convolved = [self.stacked[name].convolved(state, edges, optimizations) for name in group]  # type: ignore[operator]
            stacked, norms = zip(*convolved, strict=True)
            if shared and len(edges) == self.edges and one_pass(optimizations, norms, stacked, shared, len(edges)):
                add(edges, blended(norms, stacked, of_group, edges, len(edges), shared, weight))
                shared = []
            elif one_pass(optimizations, norms, stacked, (), len(edges)):
                add(edges, blended(norms, stacked, of_group, edges, len(edges)))
            else:
                outputs = [
                    n.scaled(x, edges, s, optimizations) for n, x, s in zip(norms, stacked, of_group, strict=True)
                ]
                add(edges, total(outputs).chunk(len(edges), dim=1))
        # 3. Shared results that were not fused with stacked ones: a matrix product with the weights, [D, S] [S, ...].
        if shared:
            results = torch.stack([result.permute(0, 2, 3, 1) for result in shared])  # [S, B, H', W', C]
            mixed = (weight.t().to(results) @ results.flatten(1)).unflatten(1, results.shape[1:])
            add(range(self.edges), mixed.permute(0, 1, 4, 2, 3).unbind())
        elif not optimizations.shared:
            for name in names:
                for number, edge in enumerate(mixture.edges_that_use(self.columns[name])):
                    # computed once for each edge, but the running statistics move once, as if computed once
                    with frozen_statistics(self.shared[name]) if number else nullcontext():
                        output = self.output_of_shared(name, x, optimizations, drop)
                    add([edge], [mixture.weights[edge, self.columns[name]] * output])
        return terms

    def drops_skips(self, *, identity_only: bool) -> bool:
        return SKIP in (self.shared if identity_only else self.columns)

    def tensors(self) -> Iterator[tuple[str, int, str, bool]]:
        for name in self.state_dict():
            kind, operation, own = name.split(".", 2)
            yield name, self.columns[operation], own, kind == "stacked"

    def _groups(self, mixture: Mixture, optimizations: Optimizations) -> dict[tuple[int, ...], list[str]]:
        """Returns edges -> the operations with parameters that are computed on exactly these edges, as one group."""
        groups: dict[tuple[int, ...], list[str]] = {}
        for name in self.stacked:
            used = mixture.edges_that_use(self.columns[name])
            for edges in [used] if optimizations.stacked and used else [[edge] for edge in used]:
                groups.setdefault(tuple(edges), []).append(name)
        return groups

    def output_of_shared(
        self, name: str, x: Tensor, optimizations: Optimizations, drop: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """Returns the output [B, C, H', W'] of an operation without parameters, with dropout if it is a skip."""
        operation = self.shared[name]
        if name == SKIP and drop is not None:
            return drop(operation(x))
        if not optimizations.pooling_by_convolution or x.device.type != "cpu":
            return operation(x)
        for module in operation if isinstance(operation, nn.Sequential) else [operation]:
            x = average_pooled(module, x) if isinstance(module, nn.AvgPool2d) else module(x)
        return x
