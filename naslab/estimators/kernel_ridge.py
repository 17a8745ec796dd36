"""Kernel ridge regression with leave-one-out errors in closed form (Golub, Heath & Wahba 1979).

    f(x)  =  k(x) (K + noise)^-1 y,      k(a, b)  =  exp(-|a - b|^2 / (2 length^2))  +  a constant, for the mean
    leave-one-out residual of y_i  =  [(K + noise)^-1 y]_i  /  [(K + noise)^-1]_ii

Features are standardised to mean 0 and variance 1, and |a - b|^2 is the mean over features. Length and noise are chosen
from a small grid to minimise the sum of squared leave-one-out residuals.
"""

from __future__ import annotations

import numpy as np

LENGTHS = (0.5, 1.0, 2.0, 4.0)
NOISES = (1e-3, 1e-2, 1e-1, 1.0)
CONSTANT = 10.0
"""Prior variance of the mean, in units of the variance of the targets: large, so that the mean is hardly shrunk."""


class KernelRidge:
    """Regression from D features to a number, fitted to N examples.

    Args:
        features: float array [N, D].
        targets: float array [N].
    """

    def __init__(self, features: np.ndarray, targets: np.ndarray) -> None:
        self._mean, self._features = features.mean(axis=0), features
        spread = features.std(axis=0)  # 0 for a constant feature, which then stays 0 after centring
        self._spread = np.where(spread > 0, spread, 1.0)
        self._center, self._scale = float(targets.mean()), float(targets.std()) or 1.0
        apart, y = self._apart(features), (targets - self._center) / self._scale
        best = np.inf
        for length in LENGTHS:
            near = np.exp(-apart / (2 * length**2)) + CONSTANT
            for noise in NOISES:
                inverse = np.linalg.inv(near + noise * np.eye(len(y)))
                weights = inverse @ y
                left = weights / np.diag(inverse)  # leave-one-out residuals [N], without N refits
                if (error := float(left @ left)) < best:
                    best, self._length, self._weights, self._left = error, length, weights, left

    @property
    def left(self) -> np.ndarray:
        """Leave-one-out residuals [N]: each target minus its prediction from all other examples."""
        return self._left * self._scale

    @property
    def deviation(self) -> float:
        """Root mean square of the leave-one-out residuals."""
        return float(np.sqrt((self.left**2).mean()))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Returns predictions [M] for features [M, D]."""
        near = np.exp(-self._apart(features) / (2 * self._length**2)) + CONSTANT
        return self._center + self._scale * (near @ self._weights)

    def _apart(self, features: np.ndarray) -> np.ndarray:
        """Returns mean squared differences of standardised features [M, D] to the examples, [M, N]."""
        ones, others = ((given - self._mean) / self._spread for given in (features, self._features))
        return ((ones[:, None] - others) ** 2).mean(axis=2)
