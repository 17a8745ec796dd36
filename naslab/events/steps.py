"""Events that are steps: a step of shared weights, or an evaluation of a candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from naslab.architecture import Architecture
from naslab.errors import MetricMissing
from naslab.events.event import Event, frozen_dict, read_only
from naslab.immutable import FrozenDict, frozen_json
from naslab.quantities import FITNESS, Objective, as_objectives


@dataclass(frozen=True, kw_only=True, eq=False)
class Steered(Event):
    """A step together with the settings in effect during it."""

    settings: Mapping[str, Any]
    """Name -> value, as JSON: the learning rates, for instance, or a mask of forbidden operations."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", frozen_json("settings", self.settings))

    @property
    def knobs(self) -> Mapping[str, Any]:
        """The settings, by an earlier name."""
        return self.settings

    @property
    def rates(self) -> Mapping[str, Any]:
        """The settings, by an earlier name."""
        return self.settings


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained(Steered):
    """A step that updated shared weights on one mini-batch."""

    epoch: int
    """Epoch that the step belongs to, from 0."""
    metrics: Mapping[str, float]
    """Metrics of the step, sorted by name: those of the task under `train/` and `valid/` (`train/loss`,
    `valid/accuracy`, each computed before the update), and the searcher's own. Direction and unit of each are in
    `Stepper.metrics` and in the run folder."""
    best: Architecture
    """The architecture that would be derived now."""

    def __post_init__(self) -> None:
        super().__post_init__()
        found = {name: float(self.metrics[name]) for name in sorted(self.metrics)}
        object.__setattr__(self, "metrics", FrozenDict(found))

    def _metric(self, name: str) -> float:
        if name not in self.metrics:
            raise MetricMissing(
                f"step {self.step} ({self.kind}) has no metric {name!r}: the task or the searcher measures none; "
                f"there are {', '.join(self.metrics) or 'none'}"
            )
        return self.metrics[name]

    @property
    def train_loss(self) -> float:
        """Loss on the mini-batch that updated the weights, before the step. This property and the following raise
        `MetricMissing` (which is an `AttributeError`) if the step has no such metric.
        """
        return self._metric("train/loss")

    @property
    def train_accuracy(self) -> float:
        """Accuracy on the same mini-batch, in [0, 1]."""
        return self._metric("train/accuracy")

    @property
    def valid_loss(self) -> float:
        """Loss on the mini-batch that updated the architecture parameters, before the step."""
        return self._metric("valid/loss")

    @property
    def valid_accuracy(self) -> float:
        """Accuracy on the same mini-batch, in [0, 1]."""
        return self._metric("valid/accuracy")

    @property
    def entropy(self) -> float:
        """Mean entropy of the distributions over O operations, in nats: log(O) if uniform, 0 if one-hot."""
        return self._metric("entropy")

    @property
    def skip_count(self) -> int:
        """Number of skip connections in `best`, over all parts (cell types)."""
        return int(self._metric("count/skip_connect"))

    @property
    def discretisation_gap(self) -> float:
        """Validation loss of `best` with the shared weights minus that of the mixture, on the same mini-batch."""
        return self._metric("discretisation_gap")


@dataclass(frozen=True, kw_only=True, eq=False)
class SupernetStep(Trained):
    """One step of a search with shared weights: a mini-batch of each half of the training data."""

    kind = "supernet_step"
    probabilities: Mapping[str, np.ndarray]
    """For each part (for instance `"normal"`): [E, O] float32, one distribution per edge, after the step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "probabilities", read_only(self.probabilities))


@dataclass(frozen=True, kw_only=True, eq=False)
class ChildTrained(Trained):
    """One step of the shared weights with a single sampled child, on a training mini-batch, without an evaluation."""

    kind = "child_trained"
    architecture: Architecture
    """The child; only its weights were updated."""


def _measure(event: Evaluated | Raced) -> None:
    """Completes the values of an evaluation: events of earlier versions only have the fitness."""
    values = event.values
    if not values and event.fitness is not None:
        values = {FITNESS.name: event.fitness}
    object.__setattr__(event, "values", frozen_dict(values))
    if event.objectives != ():
        object.__setattr__(event, "objectives", as_objectives(event.objectives) if event.objectives else ())


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluated(Steered):
    """One step of a black-box search: the evaluation of a candidate."""

    kind = "evaluated"
    number: int
    """Number of the proposal, from 1; it differs from `step` if several are evaluated at once."""
    architecture: Architecture
    origin: str
    """How the searcher proposed it: "random", "mutation", "neighbour", ..."""
    parents: tuple[int, ...]
    """Numbers of the proposals that it was made from, by mutation or crossover."""
    status: str
    """Either "done", or the reason for a missing fitness: "failed" (the estimator raised an error), "crashed" (its
    process died), "timed out", "cancelled". The search went on."""
    fitness: float | None
    """More is better; None if the evaluation failed."""
    message: str
    """Reason of a failure; empty otherwise."""
    best: Architecture | None
    """Fittest architecture so far, including this one; None while all evaluations have failed."""
    best_fitness: float | None
    fidelity: float | None = None
    """Total training of the candidate in epochs; None if the estimator decides it."""
    candidate: int | None = None
    """Number of the first proposal of this candidate: its own, unless it continues the training of an earlier one."""
    begins_from: int | None = None
    """Number of the proposal whose trained weights it started from; None for new weights."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Other values that the estimator found: "parameters", "flops", "latency", "seconds", ..."""
    details: Mapping[str, float | Sequence[float]] = field(default_factory=dict)
    """Diagnostics of the searcher after it has observed this result: a baseline, an entropy, hurdles."""
    probabilities: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Name of a choice -> [options] float32: probabilities of the searcher's policy after this result."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Name of each objective -> its measured value, in its own direction, and further values of the estimator. Empty
    for a failure; if only a fitness is known, it is the single value "fitness"."""
    objectives: Sequence[Objective] = ()
    """Objectives that the score itself named, the first being the fitness; empty if they are those of the estimator,
    which are in the spec of the search."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "parents", tuple(self.parents))
        _measure(self)
        for name in ("figures", "details"):
            object.__setattr__(self, name, frozen_dict(getattr(self, name)))
        object.__setattr__(self, "probabilities", read_only(self.probabilities))


@dataclass(frozen=True, kw_only=True, eq=False)
class Raced(Event):
    """One evaluation of one runner of a race. `step` counts the evaluations of all of them."""

    kind = "raced"
    searcher: str
    seed: int
    number: int
    """Number of this runner's proposal, from 1."""
    architecture: Architecture
    status: str
    """As in `Evaluated`."""
    fitness: float | None
    message: str
    figures: Mapping[str, float]
    spent: float
    """Budget spent by this runner, this evaluation included; above the budget for one that ended too late to count."""
    values: Mapping[str, float] = field(default_factory=dict)
    """As in `Evaluated`."""
    objectives: Sequence[Objective] = ()
    """As in `Evaluated`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "figures", FrozenDict(self.figures))
        _measure(self)
