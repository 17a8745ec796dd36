"""jacob_cov: how little the gradients of different images correlate (Mellor et al. 2020, the first version of
https://arxiv.org/abs/2006.04647; named so, and used, by Abdelfattah et al. 2021, https://arxiv.org/abs/2101.08134).

    J_i <- gradient of the sum of all outputs with respect to image i
    v <- eigenvalues of the correlation matrix of the rows of J
    score <- - sum_i (log(v_i + k) + 1 / (v_i + k)),   k = 1e-5

Difference from the published code: the correlations are computed in float64 and are symmetric for the eigenvalues,
which therefore are real; rounding below zero is cut off.

Stated values: a row that is constant, as where no gradient reaches the image, correlates perfectly with every other
such row and not at all with the rest; if no image has any gradient, that is the lowest score there is, about
-1e5 (B - 1). One image has no correlation, and is refused.
"""

from __future__ import annotations

import numpy as np

from naslab.errors import SpecError
from naslab.estimators.zero_cost.passes import Seen

K = 1e-5


def jacob_cov(seen: Seen) -> float:
    """The score of the Jacobian [B, D]."""
    if len(seen.jacobian) < 2:
        raise SpecError("jacob_cov correlates examples with each other, and one has no other; use a larger batch")
    eigenvalues = np.linalg.eigvalsh(correlations(seen.jacobian.double().cpu().numpy())).clip(min=0)
    return -float(np.sum(np.log(eigenvalues + K) + 1 / (eigenvalues + K)))


def correlations(rows: np.ndarray) -> np.ndarray:
    """[B, D] float64 -> [B, B]: Pearson's correlation of any two rows; constant rows are alike."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1)
    constant = length <= np.finfo(np.float64).eps * np.linalg.norm(rows, axis=1)
    unit = centred / np.where(constant, 1.0, length)[:, None]
    unit[constant] = 0.0
    return unit @ unit.T + np.outer(constant, constant)
