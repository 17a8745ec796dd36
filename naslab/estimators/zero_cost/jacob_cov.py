"""jacob_cov: low correlation between the input gradients of different images (Mellor et al. 2020, the first version of
https://arxiv.org/abs/2006.04647; named by Abdelfattah et al. 2021, https://arxiv.org/abs/2101.08134).

    J_i <- gradient of the sum of all outputs with respect to image i
    v <- eigenvalues of the correlation matrix of the rows of J
    score <- - sum_i (log(v_i + k) + 1 / (v_i + k)),   k = 1e-5

Difference from the published code: the correlations are computed in float64 and are symmetric for the eigenvalues,
which therefore are real; rounding below zero is cut off.

Conventions: constant rows, as for an image that no gradient reaches, have correlation 1 with each other and 0 with all
other rows; if no image has a gradient, the score is the lowest possible, about -1e5 (B - 1). A mini-batch of one image
has no correlations and raises an error.
"""

from __future__ import annotations

import numpy as np

from naslab.errors import SpecError
from naslab.estimators.zero_cost.passes import Seen

K = 1e-5


def jacob_cov(seen: Seen) -> float:
    """Returns the score of the Jacobian [B, D]."""
    if len(seen.jacobian) < 2:
        raise SpecError("jacob_cov correlates examples with each other, and one has no other; use a larger batch")
    eigenvalues = np.linalg.eigvalsh(correlations(seen.jacobian.cpu().double().numpy())).clip(min=0)
    return -float(np.sum(np.log(eigenvalues + K) + 1 / (eigenvalues + K)))


def correlations(rows: np.ndarray) -> np.ndarray:
    """Returns Pearson's correlations [B, B] of the rows of [B, D] float64; constant rows have correlation 1."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1)
    constant = length <= np.finfo(np.float64).eps * np.linalg.norm(rows, axis=1)
    unit = centred / np.where(constant, 1.0, length)[:, None]
    unit[constant] = 0.0
    return unit @ unit.T + np.outer(constant, constant)
