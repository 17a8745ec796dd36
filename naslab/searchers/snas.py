"""SNAS: stochastic neural architecture search (Xie, Zheng, Liu & Lin 2019, https://arxiv.org/abs/1812.09926, Eq. 4).

    repeat, a mini-batch at a time:
        Z <- softmax((log p + Gumbel numbers) / temperature) on each edge, p = softmax(alpha)
        alpha, w <- a step each, by one backward pass of L_train(w, Z) + resource_weight * expected cost
    the temperature falls in equal steps, and Z with it towards one operation an edge
    derive two edges a node, as DARTS does, or keep all edges, as `edges` says

All training data is for both weights and architecture: there is no validation half, so that the validation metrics of
an event are those of the training mini-batch.

Temperatures, epochs, learning rates and the alphas at the start are those of the authors' code
(https://github.com/SNAS-Series/SNAS-Series, SNAS/README.md, train_search.py, and `Temp_Scheduler` in utils.py: 1 to
0.03 over 150 epochs, linearly; its alphas start around one, which a softmax does not see).

The authors also keep every edge with its strongest operation, "none" included, and train that network
(train_edge_all.py; the genotypes SNAS_mild_edge_all and so on): `edges="all"`, which searches
`naslab.spaces.DartsCellAllEdges`. Their other genotypes have two edges a node: `edges="strongest"`.

Differences from that code: the resource loss is the expected cost of p in units of the dearest cell, whose gradient is
exact; theirs is the sum of the logarithms of the costs of the sample, times 1.5e-3 in the searches of its README (0.01
if nothing is said). Costs are counted parameters or multiply-adds, or a table of measurements; off unless a weight is
given. No drop path (theirs: 0.3). Adam moves the alphas, as in their distributed version; on a single GPU theirs is SGD
of the same rate. Their gradient is not clipped (there: to a norm of 10).
"""

from __future__ import annotations

from dataclasses import dataclass

from naslab.errors import SpecError
from naslab.searchers.gradient import Concrete, GradientSearcher, Parts, Resource, SingleLevel, Training
from naslab.spaces.space import Space


@dataclass(frozen=True, kw_only=True)
class SNASHyperparameters(Training):
    """Defaults are those of the authors' search on CIFAR-10."""

    epochs: int = 150
    """Passes over the training data."""
    alpha_scale: float = 0.01
    """Standard deviation of the alphas at the start."""
    temperature: float = 1.0
    """Temperature of the samples in the first epoch; falls in equal steps, epoch by epoch."""
    temperature_end: float = 0.03
    """Temperature in the epoch after the last."""
    resource_weight: float = 0.0
    """Weight of the resource penalty: the most expensive cell adds this much to the loss. 0 disables it."""
    resource: str = "multiply_adds"
    """Cost that is penalised: "multiply_adds" or "parameters"."""
    edges: str = "strongest"
    """Edges that the derived cell keeps: "strongest", what the space derives (two a node in a DARTS cell), or "all"."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.edges not in ("strongest", "all"):
            raise SpecError(f'edges must be "strongest" or "all", not {self.edges!r}')


class SNAS(GradientSearcher):
    """SNAS on any space with a supernet."""

    name = "snas"
    Hyperparameters = SNASHyperparameters

    @classmethod
    def searched(cls, space: Space, hyper: SNASHyperparameters) -> Space:
        """Returns the space of derived cells; with `edges="all"`, the variant whose architectures keep every edge."""
        if hyper.edges != "all":
            return space
        if not hasattr(space, "all_edges"):
            raise SpecError(f"{space.name!r} has no variant that keeps all edges; leave edges out, or take a DartsCell")
        return space.all_edges()  # type: ignore[attr-defined]

    @classmethod
    def compose(cls, hyper: SNASHyperparameters) -> Parts:
        resource = Resource(weight=hyper.resource_weight, what=hyper.resource)
        return Parts(
            sampling=Concrete(temperature=hyper.temperature, temperature_end=hyper.temperature_end),
            level=SingleLevel(),
            regularizers=(resource,),
        )
