"""Mixing rules: from the alphas of a part, [E, O], to the weights of its operations, [E, O].

`Softmax`      each edge is a choice among its operations (Liu et al. 2019, Eq. 2)
`JointSoftmax` each node is one choice among all operations of all edges that enter it (I-DARTS, Jiang et al. 2019)
`Sigmoid`      each operation is kept or not, independently of the others (FairDARTS, Chu et al. 2020)

Operations that are weighed against each other form a *simplex*. Under the first two rules the weights of a simplex sum
to one, so that it is a distribution from which operations can be sampled.

Letters in shapes: E edges of a part, O candidate operations, S simplexes of n operations each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from naslab.operations.indexing import picked
from naslab.spaces.weight_sharing import SupernetSpace


def softmax(x: Tensor) -> Tensor:
    return x.softmax(dim=-1)


@dataclass(frozen=True)
class Simplexes:
    """The division of a matrix [E, O] into simplexes, and the rule by which each is weighed."""

    groups: Sequence[Sequence[int]] | None = None
    """Groups of rows, one simplex for each group; every row is in exactly one. None: every row is a simplex."""
    rule: Callable[[Tensor], Tensor] = softmax
    """Alphas [S, n] -> weights [S, n], with a simplex in each row."""

    def weights(self, alpha: Tensor) -> Tensor:
        """Returns the weights [E, O] of alphas [E, O]."""
        return self.map(self.rule, alpha)

    def map(self, function: Callable[..., Tensor], *matrices: Tensor) -> Tensor:
        """Returns the matrix [E, O] of a function applied to each simplex.

        Args:
            function: takes one [S, n] for each matrix, with a simplex in each row, and returns [S, n].
            matrices: of shape [E, O].
        """
        if self.groups is None:
            return function(*matrices)
        # A group's rows are joined into one row [1, rows * O], since groups differ in size: an intermediate node of a
        # DARTS cell has one incoming edge more than the node before it.
        shape = matrices[0].shape
        pieces = [
            function(*(picked(m, rows).reshape(1, -1) for m in matrices)).reshape(len(rows), shape[1])
            for rows in self.groups
        ]
        return in_order(torch.cat(pieces), self.groups)


def in_order(stacked: Tensor, groups: Sequence[Sequence[int]]) -> Tensor:
    """Returns rows [E, ...], which stand in the order of the groups that name them, in the order of their numbers."""
    named = [row for rows in groups for row in rows]
    return picked(stacked, sorted(range(len(named)), key=named.__getitem__))


def entering(space: SupernetSpace) -> dict[str, list[list[int]]]:
    """Returns part -> for each node, the rows (of the alphas) of the edges that enter it."""
    graph = space.supergraph()
    found: dict[str, dict[str, list[int]]] = {part: {} for part in space.edges()}
    for _, node, row in graph.edges(data="row"):
        if row is not None:
            found[graph.nodes[node]["part"]].setdefault(node, []).append(row)
    return {part: sorted(sorted(rows) for rows in nodes.values()) for part, nodes in found.items()}


class Mixing(ABC):
    """A rule that turns alphas into weights of operations."""

    distribution: ClassVar[bool] = True
    """True if the weights of a simplex are a distribution, from which operations can be sampled."""

    @abstractmethod
    def simplexes(self, entering: Sequence[Sequence[int]]) -> Simplexes:
        """Returns the simplexes of a part.

        Args:
            entering: for each node of the part, the rows of the edges that enter it.
        """


@dataclass(frozen=True)
class Softmax(Mixing):
    """A softmax over the operations of each edge."""

    def simplexes(self, entering: Sequence[Sequence[int]]) -> Simplexes:
        return Simplexes()


@dataclass(frozen=True)
class JointSoftmax(Mixing):
    """A softmax over the operations of all edges into a node, so that the weights of different edges are comparable."""

    def simplexes(self, entering: Sequence[Sequence[int]]) -> Simplexes:
        return Simplexes(entering)


@dataclass(frozen=True)
class Sigmoid(Mixing):
    """A sigmoid of each alpha: the operations of an edge do not compete."""

    distribution: ClassVar[bool] = False

    def simplexes(self, entering: Sequence[Sequence[int]]) -> Simplexes:
        return Simplexes(rule=torch.sigmoid)


MIXINGS: dict[str, type[Mixing]] = {"softmax": Softmax, "joint_softmax": JointSoftmax, "sigmoid": Sigmoid}
"""Name in a run folder -> the class."""
