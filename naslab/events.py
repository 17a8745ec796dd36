"""What a search tells the world: frozen records, one a step, equal when the search is repeated.

Nothing here depends on the clock, so that two runs of the same search give equal events bit for bit;
when an event was written is a column of the run folder, not a part of the event.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from naslab.architecture import Architecture
from naslab.directions import FITNESS, Objective, as_objectives
from naslab.errors import SpecError, unknown
from naslab.immutable import FrozenDict


@dataclass(frozen=True, kw_only=True, eq=False)
class Event:
    """Something that happened at a step. Equality is by value, arrays included, bit for bit."""

    kind: ClassVar[str]
    step: int
    """Number of search steps finished once this has happened; the first step is 1."""

    def to_record(self) -> tuple[str, bytes]:
        """JSON of the plain fields and safetensors bytes of the arrays (empty without arrays)."""
        plain: dict[str, Any] = {}
        arrays: dict[str, np.ndarray] = {}
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Architecture):
                plain[each.name] = {"space": value.space, "choices": list(value.choices)}
            elif isinstance(value, Mapping) and any(isinstance(v, np.ndarray) for v in value.values()):
                arrays.update({f"{each.name}/{key}": np.ascontiguousarray(v) for key, v in value.items()})
            elif isinstance(value, Mapping):
                plain[each.name] = dict(value)
            else:
                plain[each.name] = value
        return json.dumps(plain, sort_keys=True), save_arrays(arrays) if arrays else b""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.to_record() == other.to_record()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((self.kind, self.step))


def _read_only(arrays: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Copies in float32 that nobody can write to."""
    frozen = {}
    for key, value in arrays.items():
        frozen[key] = array = np.array(value, dtype=np.float32)
        array.setflags(write=False)
    return FrozenDict(frozen)


@dataclass(frozen=True, kw_only=True, eq=False)
class SupernetStep(Event):
    """One step of a search with shared weights: a mini-batch of each half of the training data."""

    kind = "supernet_step"
    epoch: int
    """Epoch that the step belongs to, from 0."""
    train_loss: float
    """Cross-entropy on the mini-batch that moved the weights, before the step."""
    train_accuracy: float
    """On the same mini-batch, in [0, 1]."""
    valid_loss: float
    """Cross-entropy on the mini-batch that moved the architecture, before the step."""
    valid_accuracy: float
    probabilities: Mapping[str, np.ndarray]
    """For each part (for instance `"normal"`): [E, O] float32, one distribution an edge, after the step."""
    best: Architecture
    """What would be derived now."""
    entropy: float
    """Mean over edges of the entropy of the distribution, in nats; log(O) when nothing is chosen yet."""
    skip_count: int
    """Skip connections in `best`, over all parts."""
    discretisation_gap: float
    """Validation loss of `best` with the shared weights, less that of the mixture, on the same mini-batch."""
    rates: Mapping[str, float]
    """The knobs in force during the step, for instance the learning rates."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "probabilities", _read_only(self.probabilities))
        object.__setattr__(self, "rates", FrozenDict(self.rates))


@dataclass(frozen=True, kw_only=True, eq=False)
class ChildTrained(Event):
    """One step of the shared weights by a single sampled child: a training mini-batch. Nothing was judged."""

    kind = "child_trained"
    epoch: int
    """Epoch that the step belongs to, from 0."""
    architecture: Architecture
    """The child, whose weights alone were moved."""
    train_loss: float
    """Cross-entropy on the mini-batch, before the step."""
    train_accuracy: float
    """On the same mini-batch, in [0, 1]."""
    best: Architecture
    """What would be derived now."""
    knobs: Mapping[str, float]
    """The knobs in force during the step."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "knobs", FrozenDict(self.knobs))


def _measure(event: Evaluated | Raced) -> None:
    """Complete the values of an evaluation: of an earlier event only the fitness is known."""
    values = event.values
    if not values and event.fitness is not None:
        values = {FITNESS.name: event.fitness}
    object.__setattr__(event, "values", FrozenDict(values))
    object.__setattr__(event, "objectives", as_objectives(event.objectives) if event.objectives else ())


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluated(Event):
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
    knobs: Mapping[str, float]
    """The knobs in force when it was proposed."""
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
        object.__setattr__(self, "parents", tuple(self.parents))
        _measure(self)
        for name in ("knobs", "figures", "details"):
            object.__setattr__(self, name, FrozenDict(getattr(self, name)))
        object.__setattr__(self, "probabilities", _read_only(self.probabilities))


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Changed(Event):
    """Someone turned a knob. `step` is the first step on which the new value acts."""

    kind = "changed"
    name: str
    old: float
    new: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured(Event):
    """A figure that was asked for, for instance the dominant eigenvalue of the alpha Hessian."""

    kind = "measured"
    name: str
    value: float


Figure = tuple[float, float, float]
"""A value, and the ends of its interval."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranked(Event):
    """Some architectures scored with the shared weights after a step, and what that ranking is worth.

    More is better in scores and truth. A figure is None where there is none: all scores are equal.
    """

    kind = "ranked"
    table: str
    """Benchmark and column that the truth is from."""
    size: int
    """How many architectures that table holds."""
    batch_norm: str
    """What the children were normalised by: "batch", "kept" or "recalibrated"."""
    images: int
    """Validation images that each score is of."""
    numbers: tuple[int, ...]
    """[N], in the table."""
    scores: tuple[float, ...]
    """[N]: accuracy with the shared weights, in [0, 1]."""
    truth: tuple[float, ...]
    """[N]"""
    top: int
    """k, of the overlap and the regret of the k best by score."""
    kendall: Figure | None
    spearman: Figure | None
    overlap: Figure | None
    regret: Figure | None
    best: Architecture
    """What would be derived after the step."""
    best_score: float
    """Its accuracy with the shared weights."""
    best_truth: float | None
    """None, like its rank and regret, if the table does not know it."""
    best_rank: int | None
    """Among all of the table; 1 is the best."""
    best_regret: float | None
    """What it lacks to the best of the table."""

    def __post_init__(self) -> None:
        for name in ("numbers", "scores", "truth", "kendall", "spearman", "overlap", "regret"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else tuple(value))


@dataclass(frozen=True, kw_only=True, eq=False)
class Recovered(Event):
    """The run was damaged or interrupted and went on; the message says how."""

    kind = "recovered"
    message: str


EVENTS: dict[str, type[Event]] = {
    event.kind: event for event in (SupernetStep, ChildTrained, Evaluated, Changed, Measured, Raced, Ranked, Recovered)
}


def from_record(kind: str, text: str, blob: bytes) -> Event:
    """The event that `to_record` took apart. Raises `SpecError` on anything else."""
    if kind not in EVENTS:
        raise SpecError(unknown("event", kind, EVENTS))
    event = EVENTS[kind]
    try:
        fields: dict[str, Any] = json.loads(text)
        for name, array in (load_arrays(blob) if blob else {}).items():
            field, _, key = name.partition("/")
            fields.setdefault(field, {})[key] = array
        for name in ("best", "architecture"):
            if fields.get(name) is not None:
                fields[name] = Architecture.from_record(fields[name])
        return event(**fields)
    except SpecError:
        raise
    except Exception as error:
        raise SpecError(f"not a record of the event {kind!r}: {error}") from None
