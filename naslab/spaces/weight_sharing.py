"""Spaces whose architectures share weights in one network: as a mixture of all of them (`Mixable`), or one at a time
(`Shared`).

Letters in shapes: E edges of a part, O candidate operations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn

from naslab.architecture import Architecture
from naslab.errors import SpecError, unknown
from naslab.tasks.signature import TaskLike

if TYPE_CHECKING:
    import networkx as nx


class Supernet(Protocol):
    """A network that holds all candidate operations at once and shares their weights."""

    def __call__(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Logits [B, classes] of the mixture.

        Args:
            x: [B, C, H, W].
            weights: for each part [E, O], the weight of each candidate operation on each edge (a
                softmax, a one-hot sample, ...). An operation whose weight is exactly 0 in a tensor
                that needs no gradient is not computed.
        """
        ...


@runtime_checkable
class DrawnSupernet(Protocol):
    """A space whose architectures can all be drawn as one graph, and each of them inside it."""

    def supergraph(self) -> nx.DiGraph:
        """All architectures at once. `graph(architecture)` is a part of it: its nodes and edges are here, too, under
        the same names, and their attribute `op` says which of the candidates was taken. Where `ops`, the candidates
        in order, stands at every node but the first, or at every edge from one node to the next, the picture has them
        all."""
        ...


@runtime_checkable
class Mixable(Protocol):
    """A space whose architectures are an operation on each edge, and which can build them all at once as a mixture.

    One whose edges have different candidates says which by a method more, `edge_operations`: part -> for each row the
    names of those of `operations` that it has (see `candidates`).
    """

    @property
    def operations(self) -> tuple[str, ...]:
        """All candidates, in the order of the columns of the mixture."""
        ...

    def edges(self) -> dict[str, int]:
        """Part -> number of edges E of the densest graph: the mixture of a part is [E, O]."""
        ...

    def supergraph(self) -> nx.DiGraph:
        """The densest graph. Node names, `part`, `label`, `role` as in `graph`; a searched edge carries `row`,
        its row in the part's [E, O] matrix; a fixed edge (to the output) carries none."""
        ...

    def supernet(self, task: TaskLike) -> nn.Module:
        """A `Supernet` for the task. Sizes may be given as keyword arguments, as to `build`."""
        ...

    def discretize(self, weights: Mapping[str, np.ndarray]) -> Architecture:
        """The published rule from the [E, O] weights of each part to one architecture."""
        ...

    def one_hot(self, architecture: Architecture) -> dict[str, np.ndarray]:
        """Part -> [E, O] float32 with a 1 for each operation that the architecture keeps, else 0."""
        ...


SupernetSpace = Mixable
"""An earlier name."""


@runtime_checkable
class Shared(Protocol):
    """A space whose networks can share their weights, and which computes one of them at a time."""

    def shared_weights(self, task: Any) -> nn.Module:
        """(inputs, child) -> outputs, where only the child is computed."""
        ...

    def layers_of(self, architecture: Architecture) -> Any:
        """The child, as the shared weights want it."""
        ...


def edge_operations(space: Mixable) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Part -> for each edge its candidates: what `space.edge_operations()` says, else all of them on every edge.

    `SpecError` where that does not fit to `space.edges()` and `space.operations`, or leaves an edge with none.
    """
    edges, known = space.edges(), tuple(space.operations)
    told = getattr(space, "edge_operations", None)
    if told is None:
        return {part: (known,) * rows for part, rows in edges.items()}
    found = {part: tuple(tuple(row) for row in rows) for part, rows in told().items()}
    if {part: len(rows) for part, rows in found.items()} != dict(edges):
        raise SpecError(f"edge_operations() must say the operations of the edges {edges}, not of {found!r:.300}")
    for part, rows in found.items():
        for row, operations in enumerate(rows):
            if not operations or len(set(operations)) < len(operations):
                raise SpecError(f"edge {row} of {part!r} needs some operations, each once, not {operations!r:.200}")
            for operation in operations:
                if operation not in known:
                    raise SpecError(f"edge {row} of {part!r}: {unknown('operation', operation, known)}")
    return found


def candidates(space: Mixable) -> dict[str, np.ndarray]:
    """Part -> [E, O] bool: whether the edge has that operation; False where the row of the mixture is only padded."""
    known = tuple(space.operations)
    return {
        part: np.array([[operation in row for operation in known] for row in rows], dtype=bool).reshape(-1, len(known))
        for part, rows in edge_operations(space).items()
    }


def weight_matrices(
    weights: Mapping[str, np.ndarray], edges: Mapping[str, int], operations: int
) -> dict[str, np.ndarray]:
    """The [E, O] weights of each part, if there is one for each, of the right shape and finite; else `SpecError`."""
    if set(weights) != set(edges):
        raise SpecError(f"expected the weights of the parts {', '.join(edges)}; got {', '.join(map(str, weights))}")
    matrices = {part: np.asarray(weights[part]) for part in edges}
    for part, matrix in matrices.items():
        if matrix.shape != (edges[part], operations):
            expected = (edges[part], operations)
            raise SpecError(f"the weights of {part!r} must have shape {expected}, not {matrix.shape}")
        if not np.isfinite(matrix).all():
            raise SpecError(f"the weights of {part!r} are not all finite: nothing can be derived from them")
    return matrices
