"""Rewards of children, and the baseline, for searchers that learn a policy or Q-values.

- A child that could not be evaluated gets the lowest reward so far, so that failures are avoided whatever the scale of
  the fitness. Before any reward is known, nothing is learnt from it.
- A reward beyond +-1e30 is left out and counted as `skipped`: its square would overflow in single precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from naslab.errors import SpecError, real
from naslab.quantities import FITNESS, Objective

REWARDS = ("fitness", "cubed")
LAST_EPOCHS = "best_valid_"
"""Prefix of the metric that a cubed reward uses instead of the fitness where an estimator reports it: the best value of
the objective in the last five epochs."""
MOST = 1e30
"""Largest absolute value of a reward."""


def between(name: str, value: object, low: float, high: float, *, low_too: bool = True) -> float:
    """Returns the number if low <= value <= high, or low < value <= high; `SpecError` otherwise.

    Args:
        low_too: whether `low` itself is allowed.
    """
    number = real(name, value)
    if not low <= number <= high or (number == low and not low_too):
        start = "from" if low_too else "above"
        raise SpecError(f"{name} must be a number {start} {low:g} up to {high:g}, not {value!r}")
    return number


class Rewards:
    """Computes rewards from fitness and metrics.

    Args:
        kind: "fitness", unchanged, or "cubed": the cube of the best validation accuracy of the last five epochs (Zoph &
            Le 2017, section 4.1), if the estimator reports it, else of the fitness. For another objective, the cube of
            its best value, negated if lower is better.
    """

    def __init__(self, kind: str = "fitness") -> None:
        self._kind = kind
        self.last: float | None = None
        """Reward of the last child that was evaluated."""
        self.least: float | None = None
        """Lowest reward so far."""
        self.skipped = 0
        """Number of rewards beyond the limit."""

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
            with np.errstate(over="ignore"):  # the cube may overflow to infinity, which is skipped below
                reward = float(np.float64(_lately(fitness, metrics, objective)) ** 3)
        if not abs(reward) <= MOST:  # true for NaN as well
            self.skipped += 1
            return None
        self.last = reward
        self.least = reward if self.least is None else min(self.least, reward)
        return reward

    def state_dict(self) -> Any:
        """Returns the state as JSON."""
        return [self.last, self.least, self.skipped]

    def load_state_dict(self, state: Any) -> None:
        """Restores what `state_dict` returned."""
        self.last, self.least, self.skipped = state


def _lately(fitness: float, metrics: Mapping[str, float], objective: Objective) -> float:
    """Returns the best value of the last epochs, more is better; the fitness if it is not reported."""
    if (value := metrics.get(LAST_EPOCHS + objective.name)) is not None:
        return objective.sign * value
    # an estimator without declared objectives may still report an accuracy
    return metrics.get(f"{LAST_EPOCHS}accuracy", fitness) if objective.direction == "max" else fitness


class Baseline:
    """Exponential moving average of the rewards r_1 ... r_n, without a bias towards an initial value:

        b_n = sum over i of momentum^(n-i) r_i / sum over i of momentum^(n-i)

    The denominator is the bias correction of Adam (Kingma & Ba 2015, section 3).
    """

    def __init__(self, momentum: float) -> None:
        self.momentum, self.total, self.weight = momentum, 0.0, 0.0

    @property
    def value(self) -> float | None:
        """None before the first reward."""
        return self.total / self.weight if self.weight else None

    def update(self, reward: float) -> None:
        """Adds a reward."""
        self.total = self.momentum * self.total + reward
        self.weight = self.momentum * self.weight + 1
