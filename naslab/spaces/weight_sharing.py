"""Protocols of spaces whose architectures share the weights of one network.

A `Mixable` space computes all architectures at once, as a weighted mixture of operations on each edge (DARTS and its
descendants). A `Shared` space computes one architecture at a time (ENAS, single path one-shot). A space may be both.

Letters in shapes: E edges of a part (a cell), O candidate operations.
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
    """A network that holds all candidate operations of all edges and computes their weighted sum.

    One that `torch.compile` cannot follow, or a CUDA graph cannot hold, has an attribute `compilable`, False, so that
    `compile=True` is refused at once and not at the first step.
    """

    def __call__(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Returns the logits [B, classes] of the mixture.

        Args:
            x: [B, C, H, W].
            weights: for each part [E, O], the weight of each candidate operation on each edge (a softmax, a one-hot
                sample, ...). An operation whose weight is exactly 0 in a tensor that needs no gradient is not computed.
        """
        ...


@runtime_checkable
class DrawnSupernet(Protocol):
    """A space whose architectures are all subgraphs of one graph, so that a picture can show one inside the others."""

    def supergraph(self) -> nx.DiGraph:
        """Returns the union of the graphs of all architectures.

        The nodes and edges of `graph(architecture)` are here, too, under the same names; there their attribute `op` is
        the chosen candidate. If the attribute `ops` (the candidates in order) stands at every node but the first, or at
        every edge of a chain, pictures show all candidates.
        """
        ...


@runtime_checkable
class Mixable(Protocol):
    """A space whose architectures are an operation on each edge, and which can build all of them as one mixture.

    A space whose edges have different candidates also has a method `edge_operations()`: part -> for each row the names
    of the operations on that edge, a subset of `operations` (see `candidates`).
    """

    @property
    def operations(self) -> tuple[str, ...]:
        """All candidates, in the order of the columns of the mixture."""
        ...

    def edges(self) -> dict[str, int]:
        """Returns part -> number of edges E of the densest graph: the mixture weights of a part are [E, O]."""
        ...

    def supergraph(self) -> nx.DiGraph:
        """Returns the densest graph, with node names, `part`, `label` and `role` as in `graph`.

        A searched edge carries `row`, its row in the part's [E, O] matrix; a fixed edge (to the output) carries none.
        """
        ...

    def supernet(self, task: TaskLike) -> nn.Module:
        """Returns a `Supernet` for the task. Sizes may be given as keyword arguments, as to `build`."""
        ...

    def discretize(self, weights: Mapping[str, np.ndarray]) -> Architecture:
        """Returns one architecture, derived from the [E, O] weights of each part by the published rule."""
        ...

    def one_hot(self, architecture: Architecture) -> dict[str, np.ndarray]:
        """Returns part -> [E, O] float32: 1 for each operation that the architecture keeps, else 0."""
        ...


SupernetSpace = Mixable
"""Earlier name of `Mixable`."""


@runtime_checkable
class Shared(Protocol):
    """A space whose architectures share the weights of one network that computes one of them at a time."""

    def shared_weights(self, task: Any) -> nn.Module:
        """Returns a network called as network(inputs, child), which computes the operations of the child only."""
        ...

    def layers_of(self, architecture: Architecture) -> Any:
        """Returns the child, the second argument of the shared network; its type is a matter between the two."""
        ...


def edge_operations(space: Mixable) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Returns part -> the candidates of each edge: `space.edge_operations()`, or else all operations on every edge.

    Raises:
        SpecError: if they do not fit to `space.edges()` and `space.operations`, or an edge has none.
    """
    edges, known = space.edges(), tuple(space.operations)
    declared = getattr(space, "edge_operations", None)
    if declared is None:
        return {part: (known,) * rows for part, rows in edges.items()}
    found = {part: tuple(tuple(row) for row in rows) for part, rows in declared().items()}
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
    """Returns part -> [E, O] bool: True where the edge has the operation, False where its row is padded."""
    known = tuple(space.operations)
    return {
        part: np.array([[operation in row for operation in known] for row in rows], dtype=bool).reshape(-1, len(known))
        for part, rows in edge_operations(space).items()
    }


def weight_matrices(
    weights: Mapping[str, np.ndarray], edges: Mapping[str, int], operations: int
) -> dict[str, np.ndarray]:
    """Returns the [E, O] weights of each part as arrays.

    Raises:
        SpecError: if a part is missing, or a matrix has another shape or a value that is not finite (an argmax over
            NaN would silently take the first operation).
    """
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
