"""Gradient-based search from any combination of components.

    from naslab.searchers import gradient as g

    nl.searchers.GradientSearch(space, task, mixing=g.JointSoftmax(), sampling=g.Concrete(temperature=2.0),
                                channels=g.PartialChannels(one_in=2), level=g.MixedLevel(),
                                regularizers=(g.Resource(weight=0.1), g.SkipDropout()), epochs=20)

Components that cannot be combined raise `SpecError`, which says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from naslab.searchers.gradient import GradientSearcher, Parts, Training
from naslab.searchers.gradient.mixing import Mixing, Softmax
from naslab.searchers.gradient.objective import Bilevel, SearchObjective
from naslab.searchers.gradient.parts import KINDS, PartialChannels, from_json
from naslab.searchers.gradient.regularizers import Regularizer
from naslab.searchers.gradient.sampling import FullMixture, Sampling


@dataclass(frozen=True, kw_only=True)
class GradientSearchHyperparameters(Training):
    """Defaults are those of DARTS. A component may also be given as the JSON of a run folder."""

    RENAMED: ClassVar[Mapping[str, str]] = {**Training.RENAMED, "cures": "regularizers"}

    mixing: Mixing = field(default_factory=Softmax)
    """Rule from alphas to the weights of the operations."""
    sampling: Sampling = field(default_factory=FullMixture)
    """Choice of the operations that a step computes."""
    channels: PartialChannels = field(default_factory=lambda: PartialChannels(one_in=1))
    """Channels that the operations see."""
    level: SearchObjective = field(default_factory=Bilevel)
    """Loss that updates the architecture: bilevel, mixed-level or single-level."""
    regularizers: tuple[Regularizer, ...] = ()
    """Penalties, perturbation, dropout, stopping criteria."""
    warmup: float = 0.0
    """Share of the epochs, at the start, in which only the weights are trained."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for kind in KINDS:
            object.__setattr__(self, kind, from_json(kind, getattr(self, kind)))
        if isinstance(self.regularizers, Regularizer):
            object.__setattr__(self, "regularizers", (self.regularizers,))


class GradientSearch(GradientSearcher):
    """Gradient-based search with the given components."""

    name = "gradient"
    Hyperparameters = GradientSearchHyperparameters

    @classmethod
    def compose(cls, hyper: GradientSearchHyperparameters) -> Parts:
        return Parts(
            mixing=hyper.mixing,
            sampling=hyper.sampling,
            channels=hyper.channels,
            level=hyper.level,
            regularizers=hyper.regularizers,
            warmup=hyper.warmup,
        )
