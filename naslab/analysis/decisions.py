"""The decisions of a learning sampler: what their options are called, and how each of them was learnt."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from naslab.architecture import Option
from naslab.errors import SpecError, unknown, whole
from naslab.events import Evaluated, Event
from naslab.immutable import Record
from naslab.spaces.space import Space

Q = "q/"
"""What the names of the details begin with that are values of the options of a choice."""
SAMPLED = 150
"""Events along whose policy the likeliest path is walked."""


def option_names(trials: Sequence[Evaluated], space: Space | None = None) -> dict[str, tuple[Option, ...]]:
    """Name of a choice -> its options, the longest list that was met, by a candidate or along the policy's own path."""
    found: dict[str, tuple[Option, ...]] = {}
    if space is None:
        return found
    architectures = {trial.architecture for trial in trials}
    met = [choice for architecture in architectures for choice, _ in space.walk(architecture.choices)]
    sampled = sorted(set(np.linspace(0, len(trials) - 1, min(len(trials), SAMPLED)).round().astype(int).tolist()))
    for trial in (trials[place] for place in sampled):
        prefix: tuple[Option, ...] = ()
        while (choice := space.next_choice(prefix)) is not None and choice.name in trial.probabilities:
            met.append(choice)
            likeliest = int(np.argmax(trial.details.get(Q + choice.name, trial.probabilities[choice.name])))
            prefix = (*prefix, choice.options[min(likeliest, len(choice.options) - 1)])
    for choice in met:
        if len(choice.options) > len(found.get(choice.name, ())):
            found[choice.name] = choice.options
    return found


def probabilities_over_time(trials: Sequence[Evaluated]) -> dict[str, np.ndarray]:
    """Name of a choice -> [T, O]; NaN at the times when the policy's path did not come to it."""
    found: dict[str, np.ndarray] = {}
    for place, trial in enumerate(trials):
        for name, row in trial.probabilities.items():
            if name not in found or found[name].shape[1] < len(row):
                wider = np.full((len(trials), len(row)), np.nan)
                if name in found:
                    wider[:, : found[name].shape[1]] = found[name]
                found[name] = wider
            found[name][place, : len(row)] = row
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Decision(Record):
    """How one decision was learnt, along the path that the policy thinks the best."""

    name: str
    options: tuple[Option, ...]
    """O; numbers, where no space names them."""
    steps: np.ndarray
    """[T] int64: steps of the search after which the policy's path came to this decision."""
    probabilities: np.ndarray
    """[T, O] float64: what each option would have been drawn with then; 0 of one that there was not then."""
    entropy: np.ndarray
    """[T] float64, in nats."""
    values: np.ndarray
    """[T, O] float64: what each option was thought to be worth, of a searcher that learns values; else [0, 0]. NaN
    where there was no such value then."""

    @property
    def uniform(self) -> float:
        """The probability of an option while nothing is learnt."""
        return 1 / len(self.options)

    @property
    def most(self) -> float:
        """The entropy while nothing is learnt, in nats."""
        return math.log(len(self.options))


def decision(events: Iterable[Event], name: str, space: Space | None = None, *, points: int = 400) -> Decision:
    """How one decision of a controller was learnt.

    Args:
        events: of one search, in order; only evaluations are looked at.
        name: of the decision, as in `Evaluated.probabilities`.
        space: names the options; without it they are numbered.
        points: steps at most, the first and the last among them.

    Raises:
        SpecError: the events know of no such decision.
    """
    points = whole("points", points, 2)
    trials = [event for event in events if isinstance(event, Evaluated)]
    known = list(dict.fromkeys(name for trial in trials for name in trial.probabilities))
    if not known:
        raise SpecError("these events hold no decisions: no controller, which learns what to choose, made them")
    if name not in known:
        raise SpecError(unknown("decision", name, known))
    met = [trial for trial in trials if name in trial.probabilities]
    kept = np.unique(np.linspace(0, len(met) - 1, min(points, len(met))).round().astype(int)).tolist()
    met = [met[place] for place in kept]
    rows = np.nan_to_num(probabilities_over_time(met)[name])
    width = rows.shape[1]
    values = np.full((len(met), width), np.nan) if any(Q + name in trial.details for trial in met) else np.empty((0, 0))
    for place, trial in enumerate(met if len(values) else ()):
        told = np.asarray(trial.details.get(Q + name, ()), dtype=np.float64)
        values[place, : len(told)] = told
    return Decision(
        name=name,
        options=option_names(met, space).get(name, tuple(range(width)))[:width],
        steps=np.array([trial.step for trial in met], dtype=np.int64),
        probabilities=rows,
        entropy=-(rows * np.log(np.where(rows > 0, rows, 1.0))).sum(axis=1),
        values=values,
    )
