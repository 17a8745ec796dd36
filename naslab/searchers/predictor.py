"""What an architecture will be worth, from what is known of others: a Gaussian process over their choices.

    distance(a, b)^2  =  the number of choices in which they differ, those that only one of them was asked included

so that the kernel is a product over the choices. Rewards far below the others (by Tukey's fence, 1.5 times the distance
of the quartiles below the lower one) count as if they stood at the fence: what is hardly trained at all would else
drown the differences that matter. No searcher itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from naslab.architecture import Prefix
from naslab.searchers.gaussian_process import GaussianProcess
from naslab.spaces.space import Space

MOST = 200
"""Architectures that it learns from: the last ones."""
LEAST = 8


class Predictor:
    """Predicts rewards.

    Args:
        space: of the architectures.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._known: list[tuple[Prefix, float]] = []
        self._process: GaussianProcess | None = None

    def update(self, choices: Prefix, reward: float) -> None:
        """What an architecture was worth."""
        self._known.append((choices, reward))
        self._process = None

    def state_dict(self) -> Any:
        return list(self._known[-MOST:])

    def load_state_dict(self, state: Any) -> None:
        self._known = [(tuple(choices), reward) for choices, reward in state]
        self._process = None

    @property
    def ready(self) -> bool:
        """Whether enough is known, and not all of it the same."""
        return len(self._known) >= LEAST and self.scale > 0

    @property
    def rewards(self) -> np.ndarray:
        """[N]: those that it learns from."""
        known = np.array([reward for _, reward in self._known[-MOST:]])
        low, high = np.quantile(known, (0.25, 0.75))
        return np.maximum(known, low - 1.5 * (high - low))

    @property
    def scale(self) -> float:
        """The spread of the rewards."""
        return float(self.rewards.std())

    def __call__(self, architectures: Sequence[Prefix]) -> np.ndarray:
        """[M]: the rewards that are to be expected. Only if it is ready."""
        before = [choices for choices, _ in self._known[-MOST:]]
        apart = self._apart([*architectures, *before], before)
        if self._process is None:
            self._process = GaussianProcess(apart[len(architectures) :], self.rewards)
        return self._process.expect(apart[: len(architectures)])[0]

    def _apart(self, ones: Sequence[Prefix], others: Sequence[Prefix]) -> np.ndarray:
        """[A, B] distances."""
        numbers: dict[object, int] = {}

        def marks(of: Sequence[Prefix], answered: bool) -> np.ndarray:
            """[len(of), tokens]: 1 for each choice that was asked, or for each with its answer."""
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

        asked = np.array([[len(each)] for each in ones]) + np.array([len(each) for each in others])
        return np.sqrt(asked - common(answered=False) - common(answered=True))
