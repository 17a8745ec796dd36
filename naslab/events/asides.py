"""Events other than steps: changed settings, one-time actions, measurements, saved states, recoveries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from naslab.architecture import Architecture
from naslab.events.event import Event
from naslab.immutable import frozen_json

HAND = "hand"
"""Default author of a change: the user."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Changed(Event):
    """A setting was changed. `step` is the first step on which the new value acts."""

    kind = "changed"
    name: str
    old: Any
    """The complete old value as JSON: a number, a string, or a dictionary of lists for a mask."""
    new: Any
    """The complete new value. It replaces the old one and is never merged with it."""
    who: str = HAND
    """Author of the change: "hand" for the user, "cure" for a regulariser, ..."""
    undoes: int | None = None
    """Number of the intervention that this one undoes (`naslab.runs.interventions`)."""
    total: int | None = None
    """New number of steps of the whole search, if the change altered it."""

    def __post_init__(self) -> None:
        for name in ("old", "new"):
            object.__setattr__(self, name, frozen_json(name, getattr(self, name)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Acted(Event):
    """A one-time action was carried out: an alpha was nudged, for instance. `step` is the first step after it."""

    kind = "acted"
    name: str
    """Name of the action."""
    arguments: Mapping[str, Any]
    """Arguments of the action, as JSON."""
    before: Any
    """Values before the action, as JSON; undoing the action restores them."""
    who: str = HAND
    """Author, as in `Changed`."""
    undoes: int | None = None
    """Number of the intervention that this one undoes, as in `Changed`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "arguments", frozen_json("arguments", dict(self.arguments)))
        object.__setattr__(self, "before", frozen_json("before", self.before))


@dataclass(frozen=True, kw_only=True, eq=False)
class Phase(Event):
    """A new phase of a search begins: a warm-up has ended, or the space has shrunk. `step` is its first step."""

    kind = "phase"
    name: str
    settings: Mapping[str, Any]
    """Settings of the phase, as JSON."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", frozen_json("settings", dict(self.settings)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured(Event):
    """A value that was measured on request, for instance the dominant eigenvalue of the alpha Hessian."""

    kind = "measured"
    name: str
    value: float


Figure = tuple[float, float, float]
"""A value, and the lower and upper end of its confidence interval."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranked(Event):
    """Architectures of a table scored with the shared weights after a step, and the quality of that ranking.

    N architectures; more is better in scores and truth. A statistic is None if it is undefined, as for equal scores.
    """

    kind = "ranked"
    table: str
    """Benchmark and column of the truth."""
    size: int
    """Number of architectures in the table."""
    batch_norm: str
    """Statistics that normalised the children: "batch", "kept" or "recalibrated"."""
    images: int
    """Number of validation images that each score is computed on."""
    numbers: tuple[int, ...]
    """[N]: numbers of the architectures in the table."""
    scores: tuple[float, ...]
    """[N]: accuracy with the shared weights, in [0, 1]."""
    truth: tuple[float, ...]
    """[N]: true values, in the unit of the table."""
    top: int
    """k of the overlap and the regret, which look at the k best by score."""
    kendall: Figure | None
    spearman: Figure | None
    overlap: Figure | None
    regret: Figure | None
    best: Architecture
    """The architecture that would be derived after the step."""
    best_score: float
    """Its accuracy with the shared weights."""
    best_truth: float | None
    """Its true value; None, like its rank and regret, if it is not in the table."""
    best_rank: int | None
    """Its rank in the whole table; 1 is the best."""
    best_regret: float | None
    """Difference between the best true value of the table and its own."""

    def __post_init__(self) -> None:
        for name in ("numbers", "scores", "truth", "kendall", "spearman", "overlap", "regret"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else tuple(value))


@dataclass(frozen=True, kw_only=True, eq=False)
class Saved(Event):
    """A state too large for an event, such as weights or an archive, was saved under a name next to the events."""

    kind = "saved"
    name: str
    """Name of the state; a later state with the same name supersedes it."""
    digest: str
    """Checksum of the state, which identifies it (`naslab.blobs`)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Recovered(Event):
    """The run was damaged or interrupted and then continued; the message says how."""

    kind = "recovered"
    message: str
