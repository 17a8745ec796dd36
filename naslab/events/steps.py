"""Events of which each is a step: of shared weights, or an evaluation."""

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
    """A step, with the settings that were in force during it."""

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
    """A step that moved shared weights by a mini-batch."""

    epoch: int
    """Epoch that the step belongs to, from 0."""
    metrics: Mapping[str, float]
    """What was computed on the way, in the order of the names: the metrics of the task under `train/` and `valid/`
    (`train/loss`, `valid/accuracy`, each before the step), and the searcher's own. What each is measured in, and
    whether more or less of it is better, the searcher says (`Stepper.metrics`), and the run folder keeps."""
    best: Architecture
    """What would be derived now."""

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
        """On the mini-batch that moved the weights, before the step. Like each of these, `MetricMissing` (which is an
        `AttributeError`) where the step has no such metric.
        """
        return self._metric("train/loss")

    @property
    def train_accuracy(self) -> float:
        """On the same mini-batch, in [0, 1]."""
        return self._metric("train/accuracy")

    @property
    def valid_loss(self) -> float:
        """On the mini-batch that moved the architecture, before the step."""
        return self._metric("valid/loss")

    @property
    def valid_accuracy(self) -> float:
        """On the same mini-batch, in [0, 1]."""
        return self._metric("valid/accuracy")

    @property
    def entropy(self) -> float:
        """Mean over edges of the entropy of the distribution, in nats; log(O) when nothing is chosen yet."""
        return self._metric("entropy")

    @property
    def skip_count(self) -> int:
        """Skip connections in `best`, over all parts."""
        return int(self._metric("count/skip_connect"))

    @property
    def discretisation_gap(self) -> float:
        """Validation loss of `best` with the shared weights, less that of the mixture, on the same mini-batch."""
        return self._metric("discretisation_gap")


@dataclass(frozen=True, kw_only=True, eq=False)
class SupernetStep(Trained):
    """One step of a search with shared weights: a mini-batch of each half of the training data."""

    kind = "supernet_step"
    probabilities: Mapping[str, np.ndarray]
    """For each part (for instance `"normal"`): [E, O] float32, one distribution an edge, after the step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "probabilities", read_only(self.probabilities))


@dataclass(frozen=True, kw_only=True, eq=False)
class ChildTrained(Trained):
    """One step of the shared weights by a single sampled child: a training mini-batch. Nothing was judged."""

    kind = "child_trained"
    architecture: Architecture
    """The child, whose weights alone were moved."""


def _measure(event: Evaluated | Raced) -> None:
    """Complete the values of an evaluation: of an earlier event only the fitness is known."""
    values = event.values
    if not values and event.fitness is not None:
        values = {FITNESS.name: event.fitness}
    object.__setattr__(event, "values", frozen_dict(values))
    if event.objectives != ():
        object.__setattr__(event, "objectives", as_objectives(event.objectives) if event.objectives else ())


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluated(Steered):
    """One step of a search that evaluates a candidate a step."""

    kind = "evaluated"
    number: int
    """Of the proposal, from 1; differs from `step` when several are evaluated at once."""
    architecture: Architecture
    origin: str
    """How it came about: "random", "mutation", "neighbour", ..."""
    parents: tuple[int, ...]
    """Numbers of the proposals that it was made from."""
    status: str
    """Either "done", or why there is no fitness: "failed" (it said so), "crashed" (its process died), "timed out",
    "cancelled". The search went on."""
    fitness: float | None
    """More is better; None for one that failed."""
    message: str
    """Why it failed; empty for one that did not."""
    best: Architecture | None
    """The fittest so far, this one included; None while all have failed."""
    best_fitness: float | None
    fidelity: float | None = None
    """How much training the candidate has had in all, in epochs; None: as the estimator saw fit."""
    candidate: int | None = None
    """Number of the first proposal of this candidate: its own, unless the training of an earlier one went on."""
    begins_from: int | None = None
    """Number of the proposal whose trained weights it began with; None for new ones."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """What else the estimator found: "parameters", "flops", "latency", "seconds", ..."""
    details: Mapping[str, float | Sequence[float]] = field(default_factory=dict)
    """The searcher's own figures once it had learnt of this: a baseline, an entropy, hurdles."""
    probabilities: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Name of a choice -> [options] float32: what the searcher would then have drawn it with, if it has a policy."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Name of each objective -> its value as it was measured, in its own direction, and what else the estimator gave
    among its values. Empty for one that failed; where only a fitness is known, that is the one value, "fitness"."""
    objectives: Sequence[Objective] = ()
    """The objectives that the score itself named, the first that of the fitness; empty where they are those of the
    estimator, which stand in the spec of the search."""

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
    """Of this runner's proposal, from 1."""
    architecture: Architecture
    status: str
    """As of `Evaluated`."""
    fitness: float | None
    message: str
    figures: Mapping[str, float]
    spent: float
    """By this runner, this evaluation included; above the budget for one that came too late to count."""
    values: Mapping[str, float] = field(default_factory=dict)
    """As of `Evaluated`."""
    objectives: Sequence[Objective] = ()
    """As of `Evaluated`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "figures", FrozenDict(self.figures))
        _measure(self)
