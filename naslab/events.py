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
from naslab.errors import MetricMissing, SpecError, unknown
from naslab.immutable import SCALARS, FrozenDict, frozen_json
from naslab.quantities import FITNESS, Objective, as_objectives

_JSON = json.JSONEncoder(sort_keys=True)
"""Made once: `json.dumps` would make one for each event."""


HAND = "hand"
"""Who changes a setting, unless somebody else says so."""


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
            if value is None or type(value) in SCALARS:  # first, for events are written by the million
                plain[each.name] = value
            elif isinstance(value, Architecture):
                plain[each.name] = {"space": value.space, "choices": list(value.choices)}
            elif isinstance(value, Mapping) and any(isinstance(v, np.ndarray) for v in value.values()):
                arrays.update({f"{each.name}/{key}": np.ascontiguousarray(v) for key, v in value.items()})
            elif isinstance(value, Mapping):
                plain[each.name] = dict(value)
            else:
                plain[each.name] = value
        return _JSON.encode(plain), save_arrays(arrays) if arrays else b""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.to_record() == other.to_record()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((self.kind, self.step))


_NOTHING: FrozenDict[str, Any] = FrozenDict()


def _frozen_dict(items: Mapping[str, Any]) -> FrozenDict[str, Any]:
    return FrozenDict(items) if items else _NOTHING


def _read_only(arrays: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Copies in float32 that nobody can write to."""
    if not arrays:
        return _NOTHING
    frozen = {}
    for key, value in arrays.items():
        frozen[key] = array = np.array(value, dtype=np.float32)
        array.setflags(write=False)
    return FrozenDict(frozen)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Steered(Event):
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
class _Trained(_Steered):
    """A step that moved shared weights by a mini-batch."""

    epoch: int
    """Epoch that the step belongs to, from 0."""
    metrics: Mapping[str, float]
    """What was computed on the way, in the order of the names: the metrics of the task under `train/` and `valid/`
    (`train/loss`, `valid/accuracy`, each before the step), and the searcher's own. What each is measured in, and
    whether more or less of it is better, the searcher says (`Driven.metrics`), and the run folder keeps."""
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
class SupernetStep(_Trained):
    """One step of a search with shared weights: a mini-batch of each half of the training data."""

    kind = "supernet_step"
    probabilities: Mapping[str, np.ndarray]
    """For each part (for instance `"normal"`): [E, O] float32, one distribution an edge, after the step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "probabilities", _read_only(self.probabilities))


@dataclass(frozen=True, kw_only=True, eq=False)
class ChildTrained(_Trained):
    """One step of the shared weights by a single sampled child: a training mini-batch. Nothing was judged."""

    kind = "child_trained"
    architecture: Architecture
    """The child, whose weights alone were moved."""


def _measure(event: Evaluated | Raced) -> None:
    """Complete the values of an evaluation: of an earlier event only the fitness is known."""
    values = event.values
    if not values and event.fitness is not None:
        values = {FITNESS.name: event.fitness}
    object.__setattr__(event, "values", _frozen_dict(values))
    if event.objectives != ():
        object.__setattr__(event, "objectives", as_objectives(event.objectives) if event.objectives else ())


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluated(_Steered):
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
            object.__setattr__(self, name, _frozen_dict(getattr(self, name)))
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
    """Someone changed a setting. `step` is the first step on which the new value acts."""

    kind = "changed"
    name: str
    old: Any
    """The whole value until then, as JSON: a number, a word, for a mask a dictionary of lists."""
    new: Any
    """The whole value from then on. It replaces the old one, and is never merged with it."""
    who: str = HAND
    """Who did it: a hand, a cure that somebody chose, ..."""
    undoes: int | None = None
    """Number of the intervention that this one undoes (`naslab.runs.interventions`)."""
    total: int | None = None
    """Steps in the whole search from then on, where they have become others by it."""

    def __post_init__(self) -> None:
        for name in ("old", "new"):
            object.__setattr__(self, name, frozen_json(name, getattr(self, name)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Acted(Event):
    """Someone did something that happens once, for instance nudged an alpha. `step` is the first step after it."""

    kind = "acted"
    name: str
    """Name of the act."""
    arguments: Mapping[str, Any]
    """What it was told, as JSON."""
    before: Any
    """What it changed, as it was before, as JSON: what its inverse needs."""
    who: str = HAND
    """As of `Changed`."""
    undoes: int | None = None
    """As of `Changed`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "arguments", frozen_json("arguments", dict(self.arguments)))
        object.__setattr__(self, "before", frozen_json("before", self.before))


@dataclass(frozen=True, kw_only=True, eq=False)
class Phase(Event):
    """A part of a search begins that is unlike the one before: the end of a warm-up, a space that has shrunk.

    `step` is its first step.
    """

    kind = "phase"
    name: str
    settings: Mapping[str, Any]
    """What it is searched with from now on, as JSON."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", frozen_json("settings", dict(self.settings)))


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
class Saved(Event):
    """A state was kept beside the events, under a name: weights, an archive, whatever a step is too small for."""

    kind = "saved"
    name: str
    """The latest of a name is found by it."""
    digest: str
    """Checksum of the state, by which it is found and compared (`naslab.blobs`)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Recovered(Event):
    """The run was damaged or interrupted and went on; the message says how."""

    kind = "recovered"
    message: str


EVENTS: dict[str, type[Event]] = {
    event.kind: event
    for event in (
        SupernetStep,
        ChildTrained,
        Evaluated,
        Changed,
        Acted,
        Phase,
        Measured,
        Raced,
        Ranked,
        Saved,
        Recovered,
    )
}

_METRICS_OF_FORMAT_1 = {
    "train_loss": "train/loss",
    "train_accuracy": "train/accuracy",
    "valid_loss": "valid/loss",
    "valid_accuracy": "valid/accuracy",
    "entropy": "entropy",
    "skip_count": "count/skip_connect",
    "discretisation_gap": "discretisation_gap",
}
"""Fields that were once a field each -> the metric that each is now."""
_FIELDS_OF_FORMAT_1 = {
    "supernet_step": {*_METRICS_OF_FORMAT_1, "rates"},
    "child_trained": {"train_loss", "train_accuracy", "knobs"},
    "evaluated": {"knobs"},
}
"""Kind -> the fields of its records in format 1 that there are no more, all of which each of them has."""


def _from_format_1(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a record of format 1 as they are called today; others as they are."""
    earlier = _FIELDS_OF_FORMAT_1.get(kind, set())
    if not earlier or not earlier <= fields.keys() or fields.keys() & {"metrics", "settings"}:
        return fields
    today = {name: value for name, value in fields.items() if name not in earlier}
    today["settings"] = fields["rates" if "rates" in earlier else "knobs"]
    if metrics := {_METRICS_OF_FORMAT_1[name]: fields[name] for name in earlier & _METRICS_OF_FORMAT_1.keys()}:
        today["metrics"] = metrics
    return today


def in_this_format(kind: str, text: str) -> str:
    """The JSON of a record of an earlier format, as it is written today; its arrays have stayed as they were.

    `SpecError` if it is no JSON of fields.
    """
    if kind not in _FIELDS_OF_FORMAT_1:
        return text
    try:
        return json.dumps(_from_format_1(kind, dict(json.loads(text))), sort_keys=True)
    except (ValueError, TypeError) as error:
        raise SpecError(f"not a record of the event {kind!r}: {error}") from None


def from_record(kind: str, text: str, blob: bytes) -> Event:
    """The event that `to_record` took apart, of this format or an earlier one. Raises `SpecError` on anything else."""
    if kind not in EVENTS:
        raise SpecError(unknown("event", kind, EVENTS))
    event = EVENTS[kind]
    try:
        fields: dict[str, Any] = _from_format_1(kind, json.loads(text))
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
