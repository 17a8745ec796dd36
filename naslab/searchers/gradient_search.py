"""A search by gradients of one's own making: any parts that go together.

    from naslab.searchers import gradient as g

    nl.searchers.GradientSearch(space, task, mixing=g.JointSoftmax(), sampling=g.Concrete(temperature=2.0),
                                channels=g.PartialChannels(one_in=2), level=g.Mixed(),
                                cures=(g.Resource(weight=0.1), g.SkipDropout()), epochs=20)

Parts that do not go together raise `SpecError`, which says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from naslab.searchers.gradient import Composed, Parts, Training
from naslab.searchers.gradient.cures import Cure
from naslab.searchers.gradient.level import Bilevel, Level
from naslab.searchers.gradient.mixing import Mixing, Softmax
from naslab.searchers.gradient.parts import KINDS, PartialChannels, from_json
from naslab.searchers.gradient.sampling import Everything, Sampling


@dataclass(frozen=True, kw_only=True)
class GradientSearchHyperparameters(Training):
    """Defaults are those of DARTS. A part may also be given as the JSON of a run folder."""

    mixing: Mixing = field(default_factory=Softmax)
    """From alphas to the weights of the operations."""
    sampling: Sampling = field(default_factory=Everything)
    """What of the mixture a step computes."""
    channels: PartialChannels = field(default_factory=lambda: PartialChannels(one_in=1))
    """How many channels the operations work on."""
    level: Level = field(default_factory=Bilevel)
    """Whose loss moves the architecture."""
    cures: tuple[Cure, ...] = ()
    """Penalties, perturbation, dropout, early stopping."""
    warmup: float = 0.0
    """Share of the epochs, at the start, in which only the weights move."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for kind in KINDS:
            object.__setattr__(self, kind, from_json(kind, getattr(self, kind)))
        if isinstance(self.cures, Cure):
            object.__setattr__(self, "cures", (self.cures,))


class GradientSearch(Composed):
    """Any parts that go together."""

    name = "gradient"
    Hyperparameters = GradientSearchHyperparameters

    @classmethod
    def compose(cls, hyper: GradientSearchHyperparameters) -> Parts:
        return Parts(
            mixing=hyper.mixing,
            sampling=hyper.sampling,
            channels=hyper.channels,
            level=hyper.level,
            cures=hyper.cures,
            warmup=hyper.warmup,
        )
