"""The decisions of a sampler with a policy: names of their options, and how their probabilities developed."""

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
"""Prefix of the diagnostics that are Q-values of the options of a choice."""
SAMPLED = 150
"""Number of events for which the most likely path through the space is followed, to find the names of options."""


def option_names(trials: Sequence[Evaluated], space: Space | None = None) -> dict[str, tuple[Option, ...]]:
    """Returns name of a choice -> its options. A choice may have other options after other prefixes: the longest list
    on the paths of the candidates, and of the policy's most likely architectures, is taken.
    """
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
    """Returns name of a choice -> [T, O]; NaN at events where the policy's path did not reach the choice."""
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
    """Development of one decision, on the path that the policy considered best at each time."""

    name: str
    options: tuple[Option, ...]
    """O options; numbers, if no space is given."""
    steps: np.ndarray
    """[T] int64: steps after which the policy's path reached this decision."""
    probabilities: np.ndarray
    """[T, O] float64: probability of each option; 0 for one that was not offered."""
    entropy: np.ndarray
    """[T] float64: entropy of these probabilities, in nats."""
    values: np.ndarray
    """[T, O] float64: Q-value of each option, for a searcher that learns values, NaN where missing; else [0, 0]."""

    @property
    def uniform(self) -> float:
        """Probability of an option under a uniform policy."""
        return 1 / len(self.options)

    @property
    def most(self) -> float:
        """Entropy of a uniform policy, the largest possible, in nats."""
        return math.log(len(self.options))


def decision(events: Iterable[Event], name: str, space: Space | None = None, *, points: int = 400) -> Decision:
    """Returns the development of one decision of a controller.

    Args:
        events: events of one search, in order; only evaluations are used.
        name: name of the decision, as in `Evaluated.probabilities`.
        space: search space, for the names of the options; without it they are numbered.
        points: largest number of steps T; the first and the last are among them.

    Raises:
        SpecError: the events have no such decision.
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
        learnt = np.asarray(trial.details.get(Q + name, ()), dtype=np.float64)
        values[place, : len(learnt)] = learnt
    return Decision(
        name=name,
        options=option_names(met, space).get(name, tuple(range(width)))[:width],
        steps=np.array([trial.step for trial in met], dtype=np.int64),
        probabilities=rows,
        entropy=-(rows * np.log(np.where(rows > 0, rows, 1.0))).sum(axis=1),  # with 0 log 0 = 0
        values=values,
    )
