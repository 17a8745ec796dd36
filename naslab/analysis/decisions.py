"""What the options of a search's decisions are called."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from naslab.architecture import Option
from naslab.events import Evaluated
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
