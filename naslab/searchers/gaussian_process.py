"""A Gaussian process on anything that has distances (Rasmussen & Williams 2006, Alg. 2.1).

    k(a, b)  =  exp(-(distance(a, b) / length)^2 / 2)
    mean     =  k* (K + noise)^-1 y
    variance =  1  -  k* (K + noise)^-1 k*

A distance between networks need not be that of points in any space, and then K need not be positive: its negative
eigenvalues are set to 0 (Auto-Keras embeds the networks in a space first). Length and noise are those of a small grid
under which what was seen is most likely.
"""

from __future__ import annotations

import numpy as np

LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""In units of the median distance."""
NOISES = (1e-4, 1e-2, 1e-1, 0.5)
"""Variance of what is seen around the truth, in units of the variance of the truth."""


class GaussianProcess:
    """What is to be expected of something, from what is known of others.

    Args:
        distances: [N, N] between those that are known.
        values: [N]; they are brought to mean 0 and variance 1 inside.
        length: of the kernel; with `noise`, instead of the grid.
        noise: variance.
    """

    def __init__(
        self, distances: np.ndarray, values: np.ndarray, *, length: float | None = None, noise: float | None = None
    ) -> None:
        self.center, self.scale = float(values.mean()), float(values.std()) or 1.0
        self._distances, self._targets = distances, (values - self.center) / self.scale
        apart = distances[distances > 0]
        unit = float(np.median(apart)) if apart.size else 1.0
        lengths = [unit * factor for factor in LENGTHS] if length is None else [length]
        grid = [(size, level) for size in lengths for level in (NOISES if noise is None else [noise])]
        self.length, self.noise = max(grid, key=lambda pair: self._fit(*pair))
        self.log_likelihood = self._fit(self.length, self.noise)

    def _fit(self, length: float, noise: float) -> float:
        """Fit, and the logarithm of the likelihood."""
        found, vectors = np.linalg.eigh(kernel(self._distances, length))
        values = np.maximum(found, 0) + noise
        self._inverse = (vectors / values) @ vectors.T
        self._weights = self._inverse @ self._targets
        count = len(self._targets)
        return float(-self._targets @ self._weights - np.log(values).sum() - count * np.log(2 * np.pi)) / 2

    def expect(self, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(mean, standard deviation), [M] each in units of the values, from [M, N] distances to those known."""
        near = kernel(distances, self.length)
        mean = near @ self._weights
        variance = 1 - np.einsum("mn,nk,mk->m", near, self._inverse, near)
        return self.center + self.scale * mean, self.scale * np.sqrt(np.maximum(variance, 0))


def kernel(distances: np.ndarray, length: float) -> np.ndarray:
    return np.exp(-((distances / length) ** 2) / 2)
