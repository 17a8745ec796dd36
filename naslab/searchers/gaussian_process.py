"""Gaussian process regression on objects with pairwise distances (Rasmussen & Williams 2006, Alg. 2.1).

    k(a, b)  =  exp(-(distance(a, b) / length)^2 / 2)
    mean     =  k* (K + noise)^-1 y
    variance =  1  -  k* (K + noise)^-1 k*

A distance between networks need not be Euclidean, and K may then have negative eigenvalues, which are set to 0
(Auto-Keras embeds the networks in a Euclidean space first). Length and noise maximize the marginal likelihood over a
small grid.
"""

from __future__ import annotations

import numpy as np

LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Grid of length scales, in units of the median distance."""
NOISES = (1e-4, 1e-2, 1e-1, 0.5)
"""Grid of noise variances, in units of the signal variance."""


class GaussianProcess:
    """A fitted Gaussian process.

    Args:
        distances: [N, N] distances between the training points.
        values: [N] targets; standardized to mean 0 and variance 1 inside.
        length: length scale of the kernel; None: chosen from the grid.
        noise: noise variance; None: chosen from the grid.
    """

    def __init__(
        self, distances: np.ndarray, values: np.ndarray, *, length: float | None = None, noise: float | None = None
    ) -> None:
        self.center, self.scale = float(values.mean()), float(values.std()) or 1.0  # equal targets have no spread
        self._distances, self._targets = distances, (values - self.center) / self.scale
        apart = distances[distances > 0]
        unit = float(np.median(apart)) if apart.size else 1.0
        lengths = [unit * factor for factor in LENGTHS] if length is None else [length]
        grid = [(size, level) for size in lengths for level in (NOISES if noise is None else [noise])]
        self.length, self.noise = max(grid, key=lambda pair: self._fit(*pair))
        self.log_likelihood = self._fit(self.length, self.noise)  # the grid left the weights of its last entry

    def _fit(self, length: float, noise: float) -> float:
        """Fits the weights; returns the log marginal likelihood (Rasmussen & Williams, Eq. 2.30)."""
        found, vectors = np.linalg.eigh(kernel(self._distances, length))
        values = np.maximum(found, 0) + noise
        self._inverse = (vectors / values) @ vectors.T
        self._weights = self._inverse @ self._targets
        count = len(self._targets)
        return float(-self._targets @ self._weights - np.log(values).sum() - count * np.log(2 * np.pi)) / 2

    def expect(self, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns (mean [M], standard deviation [M]) in units of the targets.

        Args:
            distances: [M, N] distances from M points to the training points.
        """
        near = kernel(distances, self.length)
        mean = near @ self._weights
        variance = 1 - np.einsum("mn,nk,mk->m", near, self._inverse, near)
        return self.center + self.scale * mean, self.scale * np.sqrt(np.maximum(variance, 0))


def kernel(distances: np.ndarray, length: float) -> np.ndarray:
    """Returns the squared exponential kernel of distances of any shape."""
    return np.exp(-((distances / length) ** 2) / 2)
