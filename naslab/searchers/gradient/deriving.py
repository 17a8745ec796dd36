"""From alphas to probabilities, to the derived architecture, and to the metrics of a child inside the supernet.

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
from naslab.operations.indexing import picked
from naslab.searchers.feed import Feed
from naslab.searchers.gradient.history import EpochHistory, Sized
from naslab.searchers.gradient.mixing import Simplexes, in_order
from naslab.searchers.gradient.on_host import OnHost
from naslab.searchers.gradient.parts import Parts
from naslab.searchers.gradient.regularizers import (
    SizeTracking,
)
from naslab.searchers.gradient.sampling import Drawn
from naslab.searchers.gradient.steering import Masks
from naslab.searchers.inherited import inherited_metrics
from naslab.searchers.supernet_searcher import SupernetSearcher
from naslab.tasks.task import Task
from naslab.threads import torch_threads
from naslab.transfer import to_device, to_host


def edges_of(part: str) -> str:
    """Returns the name of the logits of a part's edges, among all tensors that the architecture learns."""
    return f"{part}-edges"


class Deriving(SupernetSearcher):
    """The methods of gradient-based search that read the architecture parameters."""

    task: Task
    hyperparameters: Any
    parts: Parts
    device: torch.device
    threads: int
    network: nn.Module
    alphas: dict[str, Tensor]
    """Part -> logits of the operations, [E, O]."""
    edges: dict[str, Tensor]
    """Part -> logits of the edges, [E], with edge normalisation (PC-DARTS, Eq. 4); else empty."""
    _entering: dict[str, list[list[int]]]
    """Part -> for each node, the rows of the edges that enter it."""
    _simplexes: dict[str, Simplexes]
    _masks: Masks
    _on_host: OnHost
    _history: EpochHistory
    _feeds: dict[str, Feed]
    _takes_mixtures: bool

    def probabilities(self) -> dict[str, np.ndarray]:
        """Returns part -> the expected weights of the operations, [E, O] float32.

        The cell is derived from these (but see `Dirichlet.derivation`). A row is the distribution of its edge; where
        edges are weighed against each other (`JointSoftmax`, edge normalisation), it is the edge's part of the
        distribution of the node that it enters.
        """
        with torch.no_grad():
            found = self._by_edges(self.parts.sampling.mean, self._on_host.copies())
            return {part: mean.float().numpy() for part, mean in found.items()}

    @property
    def best(self) -> Architecture:
        """The architecture derived now; the one chosen by a stopping criterion, once it has ended the search."""
        if self._history.kept is not None:
            return Architecture(self.space.name, tuple(self._history.kept))
        return self._derived()

    @property
    def by_size(self) -> list[Sized]:
        """Best cell of every size so far, small to large; `gradient.pareto` keeps those of the Pareto front."""
        if not any(isinstance(regularizer, SizeTracking) for regularizer in self.parts.regularizers):
            raise SpecError(f"{self.name} tracks no sizes; give it the regularizer SizeTracking, or take MiLeNAS")
        return self._history.by_size(self.space.name)

    def measure_child(
        self,
        child: Architecture,
        *,
        batch_norm: str = "batch",
        examples: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> dict[str, float]:
        """Returns metrics of the child inside the mixture: its operations weigh 1, and the others are not computed."""
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

    def _edge_shares(self, part: str, edges: Tensor) -> Tensor:
        """Returns the share of each edge, [E]: a softmax over the edges into each node (PC-DARTS, Eq. 4).

        Args:
            part: the part.
            edges: its logits of the edges, [E].
        """
        logits = self._masks.masked_edge_logits(part, edges)
        shares = [picked(logits, rows).softmax(dim=0) for rows in self._entering[part]]
        return in_order(torch.cat(shares), self._entering[part])

    def _masked_alphas(self, part: str, alpha: Tensor) -> Tensor:
        """Returns the alphas [E, O] of a part, with minus infinity for forbidden operations."""
        together = self._simplexes[part].groups is not None
        return self._masks.masked_alphas(part, alpha, together=together)

    def _mean(self) -> dict[str, Tensor]:
        """Returns part -> the expected weights of the operations, [E, O], differentiable in the alphas."""
        return self._by_edges(self.parts.sampling.mean, self._learnt())

    def _learnt(self) -> dict[str, Tensor]:
        """Returns name -> tensor that the architecture learns: alphas by their part, logits of edges by `edges_of`."""
        return {**self.alphas, **{edges_of(part): logits for part, logits in self.edges.items()}}

    def _by_edges(self, rule: Callable[[Tensor, Simplexes], Tensor], learnt: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns part -> the rule's weights of the operations, [E, O], times the edges' shares if there are any.

        Args:
            rule: (alphas [E, O], simplexes) -> weights [E, O].
            learnt: what the architecture learns, as `_learnt` returns it, or as it is on the host.
        """
        found = {
            part: self._masks.masked_weights(part, rule(self._masked_alphas(part, learnt[part]), self._simplexes[part]))
            for part in self.alphas
        }
        if not self.edges:
            return found
        return {part: m * self._edge_shares(part, learnt[edges_of(part)]).unsqueeze(1) for part, m in found.items()}

    def _derived(self) -> Architecture:
        """Returns the architecture that the space derives from the operations' strengths (`Sampling.strengths`)."""
        with torch.no_grad():
            strengths = self._by_edges(self.parts.sampling.strengths, self._on_host.copies())
            found = {part: self._masks.ranked(part, m.float().numpy()) for part, m in strengths.items()}
            return self.space.discretize(found)  # type: ignore[attr-defined]

    def _mixed(self, weights: Mapping[str, Drawn], *, every: bool = False) -> dict[str, Tensor | Mixture]:
        """Returns part -> the weights of its operations, in the form that the supernet takes.

        Args:
            weights: part -> its weights.
            every: as of `Drawn.computed`.
        """
        if not self._takes_mixtures:
            return {part: one.weights for part, one in weights.items()}
        # what the host does not know, because it did not draw it, it reads for all parts together
        used = to_host([one.computed(every=every) for one in weights.values()])
        return {
            part: Mixture(one.weights, some.tolist()) for (part, one), some in zip(weights.items(), used, strict=True)
        }

    def _one_hot(self, child: Architecture) -> dict[str, Tensor | Mixture]:
        """Returns part -> the one-hot weights of a child's operations, in the form that the supernet takes."""
        kept = self.space.one_hot(child)  # type: ignore[attr-defined]
        there = to_device({part: torch.from_numpy(matrix) for part, matrix in kept.items()}, self.device)
        if not self._takes_mixtures:
            return {**there}
        return {part: Mixture(there[part], (matrix != 0).tolist()) for part, matrix in kept.items()}

    @property
    def _counted(self) -> tuple[str, ...]:
        """Operations whose number in the derived cell is a metric: skip connections, or all if the space has none."""
        operations = tuple(self.space.operations)  # type: ignore[attr-defined]
        return (SKIP,) if SKIP in operations else operations
