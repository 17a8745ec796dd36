"""The components of gradient-based search, and which combinations are possible."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from naslab.errors import SpecError, whole
from naslab.fields import settle
from naslab.registry import called, named
from naslab.searchers.gradient.mixing import MIXINGS, JointSoftmax, Mixing, Softmax
from naslab.searchers.gradient.objective import LEVELS, Bilevel, MixedLevel, SearchObjective, SingleLevel
from naslab.searchers.gradient.regularizers import REGULARIZERS, Entropy, Perturbation, Regularizer, SkipDropout
from naslab.searchers.gradient.sampling import SAMPLINGS, FullMixture, Sampling
from naslab.searchers.gradient.schedule import Schedule, share

Part = TypeVar("Part")


@dataclass(frozen=True, kw_only=True)
class PartialChannels:
    """Operations see one channel in `one_in`, and the other channels bypass them (PC-DARTS, Xu et al. 2020, Eq. 3)."""

    one_in: int = 4
    """The paper's K: operations see a share 1/K of the channels; 1: all of them."""
    edge_normalisation: bool = False
    """Whether the edges into a node are weighed by a softmax over learnt logits of their own (Eq. 4), which makes edges
    comparable: with few channels sampled at each step, the alphas alone fluctuate too much to rank them."""

    def __post_init__(self) -> None:
        settle(self)
        object.__setattr__(self, "one_in", whole("one_in", self.one_in, 1))
        if not isinstance(self.edge_normalisation, bool):
            raise SpecError(f"edge_normalisation is True or False, not {self.edge_normalisation!r}")


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The components of a method.

    Raises:
        SpecError: a component has the wrong type, or two of them cannot be combined; the message says why.
    """

    mixing: Mixing = field(default_factory=Softmax)
    """Rule from alphas to the weights of the operations."""
    sampling: Sampling = field(default_factory=FullMixture)
    """Choice of the operations that a step computes."""
    channels: PartialChannels = field(default_factory=lambda: PartialChannels(one_in=1))
    """Channels that the operations see."""
    level: SearchObjective = field(default_factory=Bilevel)
    """Loss that updates the architecture."""
    regularizers: tuple[Regularizer, ...] = ()
    """Penalties, perturbation, dropout and stopping criteria, at most one of each class."""
    warmup: float = 0.0
    """Share of the epochs, at the start, in which only the weights move."""

    def __post_init__(self) -> None:
        settle(self)
        for name, kind in (
            ("mixing", Mixing),
            ("sampling", Sampling),
            ("channels", PartialChannels),
            ("level", SearchObjective),
        ):
            if not isinstance(getattr(self, name), kind):
                raise SpecError(f"{name} must be a {kind.__name__}, not {getattr(self, name)!r:.100}")
        if not isinstance(self.regularizers, tuple) or not all(
            isinstance(regularizer, Regularizer) for regularizer in self.regularizers
        ):
            raise SpecError(f"regularizers must be a tuple of regularizers, not {self.regularizers!r:.100}")
        object.__setattr__(self, "warmup", share("warmup", self.warmup))
        if reason := self._conflict():
            raise SpecError(reason)

    def _conflict(self) -> str | None:
        """Returns why two components cannot be combined, and what to take instead; None if all can."""
        mixing, sampling, level = self.mixing, self.sampling, self.level
        sampled, kinds = type(sampling).__name__, [type(regularizer) for regularizer in self.regularizers]
        if len(set(kinds)) < len(kinds):
            return f"give each regularizer once, not {', '.join(kind.__name__ for kind in kinds)}"
        if not mixing.distribution and not isinstance(sampling, FullMixture):
            return (
                f"{sampled} draws operations from a distribution, and the weights of {type(mixing).__name__} are none: "
                "each operation has a weight of its own. Take Softmax or JointSoftmax"
            )
        if not mixing.distribution and Entropy in kinds:
            return (
                f"Entropy needs a distribution over operations, and the weights of {type(mixing).__name__} are none; "
                "take Softmax or JointSoftmax"
            )
        if self.channels.edge_normalisation and isinstance(mixing, JointSoftmax):
            return "JointSoftmax weighs the edges into a node against each other already; leave edge_normalisation out"
        if level.order == 2 and not sampling.pathwise:
            return (
                f"{sampled} has no gradient through the weights of the operations, and second order differentiates "
                "through them; take order=1, or BinaryGates"
            )
        if level.order == 2 and level.hessian_product == "exact" and not sampling.twice:
            return (
                f"{sampled} can be differentiated once only, and the exact Hessian product differentiates twice; "
                'take hessian_product="finite_difference", FullMixture or Concrete'
            )
        if isinstance(level, SingleLevel) and not sampling.pathwise:
            return (
                f"SingleLevel takes both gradients from one backward pass, and that of {sampled} does not reach the "
                "alphas; take Bilevel"
            )
        if Perturbation in kinds and sampling.hard:
            return (
                f"Perturbation gives every operation some weight, and {sampled} computes only those that it drew; take "
                "FullMixture or Concrete"
            )
        if Perturbation in kinds and isinstance(level, SingleLevel):
            return (
                "Perturbation changes the update of the weights alone, and SingleLevel updates weights and "
                "architecture together; take Bilevel"
            )
        return None

    def not_compilable(self, compile: bool | str) -> str | None:
        """Returns why the passes of this method cannot become graphs, and what to do instead; None if they can.

        Args:
            compile: True or "cuda_graphs".
        """
        level, sampled = self.level, type(self.sampling).__name__
        if self.sampling.hard:
            return f"{sampled} computes only what it draws, so that each sample is another graph; leave compile out"
        if level.order == 2 and level.hessian_product == "exact":
            return (
                "the backward pass of a graph cannot be differentiated, as the exact Hessian product needs; take "
                'hessian_product="finite_difference", or leave compile out'
            )
        if any(isinstance(regularizer, SkipDropout) for regularizer in self.regularizers):
            return "SkipDropout draws its masks while a cell is computed, which a graph cannot; leave compile out"
        if compile == "cuda_graphs" and isinstance(level, MixedLevel):
            return (
                "MixedLevel computes two losses before one backward pass, and the second would overwrite what the "
                "first has kept for it; take compile=True, or leave compile out"
            )
        return None

    def schedules(self) -> dict[str, Schedule]:
        """Returns the settings of all components that can change during the search, by name."""
        found: dict[str, Schedule] = {}
        for part in (self.sampling, self.level, *self.regularizers):
            found.update(part.schedules())
        if self.warmup:
            described = "Share of the epochs, at the start, in which only the weights move; 0 ends the warm-up."
            found["warmup"] = Schedule(start=self.warmup, low=0.0, high=1.0, log=False, description=described)
        return found


KINDS: dict[str, Mapping[str, type[Any]]] = {
    "mixing": MIXINGS,
    "sampling": SAMPLINGS,
    "channels": {"partial": PartialChannels},
    "level": LEVELS,
    "regularizers": REGULARIZERS,
}
"""Kind of component -> name in a run folder -> the class."""


BASES: dict[str, type[Any]] = {
    "mixing": Mixing,
    "sampling": Sampling,
    "channels": PartialChannels,
    "level": SearchObjective,
    "regularizers": Regularizer,
}
"""Kind of component -> the class that a user's own components extend."""


def to_json(value: Any) -> Any:
    """Returns a hyperparameter as JSON: a component by its name and fields, a tuple as a list, all else as it is."""
    if isinstance(value, tuple):
        return [to_json(one) for one in value]
    if not isinstance(value, tuple(BASES.values())):
        return value
    names = [name for parts in KINDS.values() for name, cls in parts.items() if cls is type(value)]
    settings = dataclasses.asdict(value) if dataclasses.is_dataclass(value) else {}  # type: ignore[call-overload]
    return {"part": names[0] if names else called(type(value)), **settings}


def from_json(kind: str, given: Any) -> Any:
    """Returns the component, or the tuple of components, that `to_json` wrote; anything else as it is.

    Raises:
        SpecError: the name or a field is unknown, or the component refuses a value.
    """
    if isinstance(given, list | tuple):
        return tuple(from_json(kind, one) for one in given)
    if not isinstance(given, Mapping):
        return given
    settings = dict(given)
    name = settings.pop("part", None)
    part = named(f"part of the kind {kind}", name, KINDS[kind], BASES[kind])
    try:
        return part(**settings)
    except TypeError as error:
        raise SpecError(f"{name}: {error}; given: {settings}") from None
