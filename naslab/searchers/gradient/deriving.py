"""From the alphas of a search by gradients to probabilities, to the architecture that is derived, and to its child.

Letters in shapes: E edges of a part, O candidate operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.networks.mixture import SKIP, Mixture
from naslab.searchers.feed import Feed
from naslab.searchers.gradient.mixing import Simplexes
from naslab.searchers.gradient.parts import Parts
from naslab.searchers.gradient.regularizers import (
    SizeTracking,
)
from naslab.searchers.gradient.sampling import Drawn
from naslab.searchers.gradient.steering import Masks
from naslab.searchers.gradient.watching import Sized, Watching
from naslab.searchers.inherited import inherited_metrics
from naslab.searchers.supernet_searcher import SupernetSearcher
from naslab.tasks.task import Task
from naslab.threads import torch_threads


class Deriving(SupernetSearcher):
    """The part of a search by gradients that reads its alphas."""

    task: Task
    hyperparameters: Any
    parts: Parts
    device: torch.device
    threads: int
    network: nn.Module
    alphas: dict[str, Tensor]
    """Part -> [E, O]."""
    edges: dict[str, Tensor]
    """Part -> [E]: logits of the edges, where they have some of their own."""
    _entering: dict[str, list[list[int]]]
    """Part -> for each node, the rows of the edges that enter it."""
    _simplexes: dict[str, Simplexes]
    _masks: Masks
    _watching: Watching
    _feeds: dict[str, Feed]
    _takes_mixtures: bool

    def probabilities(self) -> dict[str, np.ndarray]:
        """Part -> [E, O] float32: the mean weights, from which the cell is derived (but see `Dirichlet.derivation`).

        A row is the distribution of its edge; where edges are weighed against each other (`JointSoftmax`, edge
        normalisation), it is the edge's part of the distribution of the node that it enters.
        """
        with torch.no_grad():
            return {part: mean.float().cpu().numpy() for part, mean in self._mean().items()}

    @property
    def best(self) -> Architecture:
        if self._watching.kept is not None:
            return Architecture(self.space.name, tuple(self._watching.kept))
        return self._derived()

    @property
    def by_size(self) -> list[Sized]:
        """The best cell of every size so far, small to large; `pareto` in `watching` keeps those worth their size."""
        if not any(isinstance(regularizer, SizeTracking) for regularizer in self.parts.regularizers):
            raise SpecError(f"{self.name} tracks no sizes; give it the regularizer SizeTracking, or take MiLeNAS")
        return self._watching.by_size(self.space.name)

    def measure_child(
        self,
        child: Architecture,
        *,
        batch_norm: str = "batch",
        examples: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> dict[str, float]:
        """Of the child inside the mixture: its operations weigh 1, and the others, which weigh 0, are not computed."""
        one_hot = self._one_hot(self.space.check(child))
        with self.alone, torch_threads(self.threads):
            return inherited_metrics(
                self.network,
                lambda inputs: self.network(inputs, one_hot),
                self.task,
                self._feeds["weights"].stream,
                self._feeds["architecture"].stream,
                batch_norm=batch_norm,
                examples=examples,
                batch_size=self.hyperparameters.batch_size,
                device=self.device,
                names=metrics,
            )

    def _edge_shares(self, part: str) -> Tensor:
        """[E]: a softmax over the edges into each node."""
        logits = self._masks.edges_offered(part, self.edges[part])
        shares = torch.cat([logits[rows].softmax(dim=0) for rows in self._entering[part]])
        return shares[torch.tensor([row for rows in self._entering[part] for row in rows]).argsort()]

    def _offered(self, part: str) -> Tensor:
        """The alphas [E, O], minus infinity for what is forbidden."""
        together = self._simplexes[part].groups is not None
        return self._masks.offered(part, self.alphas[part], together=together)

    def _mean(self) -> dict[str, Tensor]:
        """Part -> [E, O]: what the weights of the operations are on average."""
        return self._by_edges(self.parts.sampling.mean)

    def _by_edges(self, rule: Callable[[Tensor, Simplexes], Tensor]) -> dict[str, Tensor]:
        """Part -> [E, O] of the alphas, each edge weighed by its share where edges have shares."""
        found = {
            part: self._masks.weighed(part, rule(self._offered(part), self._simplexes[part])) for part in self.alphas
        }
        return {part: m * self._edge_shares(part).unsqueeze(1) for part, m in found.items()} if self.edges else found

    def _derived(self) -> Architecture:
        """What the space derives from the strengths of the operations, which are their mean weights but for a sampling
        that says otherwise."""
        with torch.no_grad():
            strengths = self._by_edges(self.parts.sampling.strengths)
            found = {part: self._masks.ranked(part, m.float().cpu().numpy()) for part, m in strengths.items()}
            return self.space.discretize(found)  # type: ignore[attr-defined]

    def _mixed(self, weights: Mapping[str, Drawn]) -> dict[str, Tensor | Mixture]:
        """Part -> the weights of its operations, as the supernet takes them."""
        return {part: one.mixture() if self._takes_mixtures else one.weights for part, one in weights.items()}

    def _one_hot(self, child: Architecture) -> dict[str, Tensor | Mixture]:
        """Part -> 1 for each operation that the child keeps, as the supernet takes them."""
        kept = self.space.one_hot(child)  # type: ignore[attr-defined]
        if self._takes_mixtures:
            return {part: Mixture.one_hot(matrix, self.device) for part, matrix in kept.items()}
        return {part: torch.from_numpy(matrix).to(self.device) for part, matrix in kept.items()}

    @property
    def _counted(self) -> tuple[str, ...]:
        """Operations whose number in the cell is told: skip connections; of a space that calls none so, all of them."""
        operations = tuple(self.space.operations)  # type: ignore[attr-defined]
        return (SKIP,) if SKIP in operations else operations
