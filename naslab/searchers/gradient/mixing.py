"""Mixing: from the alphas of a part, [E, O], to the weights of its operations.

`Softmax`      each edge is a choice among its operations (Liu et al. 2019, Eq. 2)
`JointSoftmax` each node is one choice among all operations of all edges that enter it (I-DARTS, Jiang et al. 2019)
`Sigmoid`      each operation is a choice of its own, yes or no (FairDARTS, Chu et al. 2020)

What is weighed against one another is a *simplex*; under the first two its weights sum to one, and it can be sampled.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from naslab.spaces.weight_sharing import SupernetSpace


def softmax(x: Tensor) -> Tensor:
    return x.softmax(dim=-1)


@dataclass(frozen=True)
class Simplexes:
    """What of a matrix [E, O] is weighed against one another, and how."""

    groups: Sequence[Sequence[int]] | None = None
    """Rows that share one simplex; together all rows, each once. None: every row is a simplex."""
    rule: Callable[[Tensor], Tensor] = softmax
    """[S, n] -> the weights [S, n] of alphas, a simplex in each row."""

    def weights(self, alpha: Tensor) -> Tensor:
        """[E, O] -> [E, O]."""
        return self.map(self.rule, alpha)

    def map(self, function: Callable[..., Tensor], *matrices: Tensor) -> Tensor:
        """The function of [S, n], whose S rows are simplexes, on all simplexes of the matrices [E, O] -> [E, O]."""
        if self.groups is None:
            return function(*matrices)
        shape = matrices[0].shape
        pieces = [
            function(*(m[list(rows)].reshape(1, -1) for m in matrices)).reshape(len(rows), shape[1])
            for rows in self.groups
        ]
        order = torch.tensor([row for rows in self.groups for row in rows]).argsort()
        return torch.cat(pieces)[order.to(pieces[0].device)]


def entering(space: SupernetSpace) -> dict[str, list[list[int]]]:
    """Part -> for each node, the rows of the edges that enter it."""
    graph = space.supergraph()
    found: dict[str, dict[str, list[int]]] = {part: {} for part in space.edges()}
    for _, node, row in graph.edges(data="row"):
        if row is not None:
            found[graph.nodes[node]["part"]].setdefault(node, []).append(row)
    return {part: sorted(sorted(rows) for rows in nodes.values()) for part, nodes in found.items()}


class Mixing(ABC):
    """A mixing rule."""

    distribution: ClassVar[bool] = True
    """Whether operations can be sampled from it."""

    @abstractmethod
    def simplexes(self, entering: Sequence[Sequence[int]]) -> Simplexes:
        """Of a part, given the rows that enter each of its nodes."""


@dataclass(frozen=True)
class Softmax(Mixing):
    """Every edge for itself."""

    def simplexes(self, entering: Sequence[Sequence[int]]) -> Simplexes:
        return Simplexes()


@dataclass(frozen=True)
class JointSoftmax(Mixing):
    """All edges into a node together: edges compete, and a node's strongest edges can be compared."""

    def simplexes(self, entering: Sequence[Sequence[int]]) -> Simplexes:
        return Simplexes(entering)


@dataclass(frozen=True)
class Sigmoid(Mixing):
    """Every operation for itself."""

    distribution: ClassVar[bool] = False

    def simplexes(self, entering: Sequence[Sequence[int]]) -> Simplexes:
        return Simplexes(rule=torch.sigmoid)


MIXINGS: dict[str, type[Mixing]] = {"softmax": Softmax, "joint_softmax": JointSoftmax, "sigmoid": Sigmoid}
"""Name in a run folder -> the rule."""
