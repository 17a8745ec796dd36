"""Kernel ridge regression, and how wrong it is (Golub, Heath & Wahba 1979, for the closed form).

    f(x)  =  k(x) (K + noise)^-1 y,      k(a, b)  =  exp(-|a - b|^2 / (2 length^2))  +  a constant, for the mean
    what is left of y_i when it is left out  =  [(K + noise)^-1 y]_i  /  [(K + noise)^-1]_ii

Features are brought to mean 0 and variance 1, and |a - b|^2 is a mean over them. Length and noise are those of a small
grid that leave least.
"""

from __future__ import annotations

import numpy as np

LENGTHS = (0.5, 1.0, 2.0, 4.0)
NOISES = (1e-3, 1e-2, 1e-1, 1.0)
CONSTANT = 10.0
"""Variance of the mean, in units of the variance of the targets: it is hardly held back."""


class KernelRidge:
    """A function of D features, from N examples.

    Args:
        features: [N, D].
        targets: [N].
    """

    def __init__(self, features: np.ndarray, targets: np.ndarray) -> None:
        self._mean, self._features = features.mean(axis=0), features
        spread = features.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)
        self._center, self._scale = float(targets.mean()), float(targets.std()) or 1.0
        apart, y = self._apart(features), (targets - self._center) / self._scale
        best = np.inf
        for length in LENGTHS:
            near = np.exp(-apart / (2 * length**2)) + CONSTANT
            for noise in NOISES:
                inverse = np.linalg.inv(near + noise * np.eye(len(y)))
                weights = inverse @ y
                left = weights / np.diag(inverse)
                if (error := float(left @ left)) < best:
                    best, self._length, self._weights, self._left = error, length, weights, left

    @property
    def left(self) -> np.ndarray:
        """[N]: each target, less what the others say of it."""
        return self._left * self._scale

    @property
    def deviation(self) -> float:
        """The root of the mean square of what is left."""
        return float(np.sqrt((self.left**2).mean()))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """[M] from [M, D]."""
        near = np.exp(-self._apart(features) / (2 * self._length**2)) + CONSTANT
        return self._center + self._scale * (near @ self._weights)

    def _apart(self, features: np.ndarray) -> np.ndarray:
        """[M, N] from [M, D]: mean square differences to the examples, in units of their spread."""
        ones, others = ((given - self._mean) / self._spread for given in (features, self._features))
        return ((ones[:, None] - others) ** 2).mean(axis=2)
