"""What a child is worth to the searchers that learn a policy or values, from what was found out about it.

- A child that could not be evaluated gets the least reward that any has had so far: what fails is to be avoided,
  whatever the scale of the fitness. Before there is one, nothing is learnt from it.
- A reward beyond +-1e30, which no sum or square in single precision survives, is left out and counted as `skipped`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from naslab.errors import SpecError, real
from naslab.quantities import FITNESS, Objective

REWARDS = ("fitness", "cubed")
LAST_EPOCHS = "best_valid_"
"""Before the name of the objective: the figure of an estimator that a cubed reward prefers to the fitness, the best
value of the last five epochs."""
MOST = 1e30


def between(name: str, value: object, low: float, high: float, *, low_too: bool = True) -> float:
    """The number, if it is from `low`, itself included or not, up to `high`."""
    number = real(name, value)
    if not low <= number <= high or (number == low and not low_too):
        start = "from" if low_too else "above"
        raise SpecError(f"{name} must be a number {start} {low:g} up to {high:g}, not {value!r}")
    return number


class Rewards:
    """Makes rewards of fitness and figures.

    Args:
        kind: "fitness" as it is, or "cubed": the cube of the best validation accuracy of the last five epochs (Zoph &
            Le 2017, section 4.1), where the estimator finds it, else of the fitness. Of another objective its value,
            with its sign turned where less is better.
    """

    def __init__(self, kind: str = "fitness") -> None:
        self._kind = kind
        self.last: float | None = None
        """Of the last child that was evaluated."""
        self.least: float | None = None
        self.skipped = 0

    def update(
        self, fitness: float | None, metrics: Mapping[str, float], objective: Objective = FITNESS
    ) -> float | None:
        """Records a child and returns its reward; None if nothing can be learnt from it.

        Args:
            fitness: more is better; None for a child that could not be evaluated.
            metrics: other results of the estimator, among which "best_valid_..." is looked up for a cubed reward.
            objective: what the fitness measures.
        """
        if fitness is None:
            return self.least
        reward = float(fitness)
        if self._kind == "cubed":
            with np.errstate(over="ignore"):
                reward = float(np.float64(_lately(fitness, metrics, objective)) ** 3)
        if not abs(reward) <= MOST:
            self.skipped += 1
            return None
        self.last = reward
        self.least = reward if self.least is None else min(self.least, reward)
        return reward

    def state_dict(self) -> Any:
        return [self.last, self.least, self.skipped]

    def load_state_dict(self, state: Any) -> None:
        self.last, self.least, self.skipped = state


def _lately(fitness: float, metrics: Mapping[str, float], objective: Objective) -> float:
    """The best of the last epochs, more of which is better; the fitness where it is not known."""
    if (value := metrics.get(LAST_EPOCHS + objective.name)) is not None:
        return objective.sign * value
    # an estimator that names no objective may give an accuracy all the same
    return metrics.get(f"{LAST_EPOCHS}accuracy", fitness) if objective.direction == "max" else fitness


class Baseline:
    """Exponential moving average of the rewards r_1 ... r_n, without a bias towards a first value:

    b_n = sum over i of momentum^(n-i) r_i / sum over i of momentum^(n-i)
    """

    def __init__(self, momentum: float) -> None:
        self.momentum, self.total, self.weight = momentum, 0.0, 0.0

    @property
    def value(self) -> float | None:
        """None before the first reward."""
        return self.total / self.weight if self.weight else None

    def update(self, reward: float) -> None:
        self.total = self.momentum * self.total + reward
        self.weight = self.momentum * self.weight + 1
