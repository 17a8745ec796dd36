"""Events beside the steps: what somebody changed, what was measured, kept, or recovered from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from naslab.architecture import Architecture
from naslab.events.event import Event
from naslab.immutable import frozen_json

HAND = "hand"
"""Who changes a setting, unless somebody else says so."""


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
