"""Predicts the reward of an architecture by a Gaussian process over the choices of evaluated architectures.

    distance(a, b)^2  =  number of choices in which a and b differ, including choices that only one of them has

so that the kernel is a product over the choices. Outliers far below the other rewards are raised to Tukey's fence, 1.5
interquartile ranges below the lower quartile: a network that hardly trains would otherwise dominate the variance, and
hide the differences among the good ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from naslab.architecture import Prefix
from naslab.searchers.gaussian_process import GaussianProcess
from naslab.spaces.space import Space

MOST = 200
"""Number of the last architectures that it is fitted to; the cost of a fit is cubic in it."""
LEAST = 8
"""Number of rewards that are needed for a prediction."""


class Predictor:
    """Predicts rewards of architectures.

    Args:
        space: space of the architectures.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._known: list[tuple[Prefix, float]] = []
        self._process: GaussianProcess | None = None

    def update(self, choices: Prefix, reward: float) -> None:
        """Adds the reward of an evaluated architecture."""
        self._known.append((choices, reward))
        self._process = None  # fitted again when it is needed

    def state_dict(self) -> Any:
        """Returns the rewards that it is fitted to, as JSON."""
        return list(self._known[-MOST:])

    def load_state_dict(self, state: Any) -> None:
        """Restores what `state_dict` returned."""
        self._known = [(tuple(choices), reward) for choices, reward in state]
        self._process = None

    @property
    def ready(self) -> bool:
        """Whether there are enough rewards, and they are not all equal."""
        return len(self._known) >= LEAST and self.scale > 0

    @property
    def rewards(self) -> np.ndarray:
        """[N] rewards that it is fitted to, with outliers raised to Tukey's fence."""
        known = np.array([reward for _, reward in self._known[-MOST:]])
        low, high = np.quantile(known, (0.25, 0.75))
        return np.maximum(known, low - 1.5 * (high - low))

    @property
    def scale(self) -> float:
        """Standard deviation of the rewards."""
        return float(self.rewards.std())

    def __call__(self, architectures: Sequence[Prefix]) -> np.ndarray:
        """Returns the predicted rewards [M] of M architectures. Requires `ready`."""
        before = [choices for choices, _ in self._known[-MOST:]]
        apart = self._apart([*architectures, *before], before)
        if self._process is None:
            self._process = GaussianProcess(apart[len(architectures) :], self.rewards)
        return self._process.expect(apart[: len(architectures)])[0]

    def _apart(self, ones: Sequence[Prefix], others: Sequence[Prefix]) -> np.ndarray:
        """Returns distances [A, B]."""
        numbers: dict[object, int] = {}

        def marks(of: Sequence[Prefix], answered: bool) -> np.ndarray:
            """Returns a 0-1 matrix [architectures, tokens]. A token is a choice, or a choice with its answer."""
            rows = [
                [
                    numbers.setdefault((choice.name, value) if answered else (choice.name,), len(numbers))
                    for choice, value in self._space.walk(each)
                ]
                for each in of
            ]
            matrix = np.zeros((len(of), len(numbers)))
            for row, places in enumerate(rows):
                matrix[row, places] = 1
            return matrix

        def common(answered: bool) -> np.ndarray:
            first, second = marks(ones, answered), marks(others, answered)
            return first[:, : second.shape[1]] @ second[:, : first.shape[1]].T

        # |a| + |b| counts the choices that both have twice: once less for each common choice gives their union, and
        # once less for each common answer leaves the choices that differ.
        asked = np.array([[len(each)] for each in ones]) + np.array([len(each) for each in others])
        return np.sqrt(asked - common(answered=False) - common(answered=True))
