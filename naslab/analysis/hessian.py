"""The dominant eigenvalue of a Hessian, by Lanczos iteration on Hessian-vector products.

For the alphas of DARTS it measures the sharpness of the validation loss, whose growth predicts the collapse to skip
connections (Zela et al. 2020, https://arxiv.org/abs/1909.09656).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from naslab.torch_state import default_torch_state


@default_torch_state()
def dominant_eigenvalue(loss: Tensor, parameters: Sequence[Tensor]) -> float:
    """Returns the eigenvalue of largest magnitude of d^2 loss / d parameters^2.

    Args:
        loss: scalar, computed with a graph; parameters that it does not depend on are left out.
        parameters: tensors with P numbers in total; the iteration usually takes some twenty products, at most P.
    """
    first = torch.autograd.grad(loss, list(parameters), create_graph=True, allow_unused=True)
    known = [(p, g) for p, g in zip(parameters, first, strict=True) if g is not None and g.requires_grad]
    if not known:  # the loss is linear in the parameters, or independent of them
        return 0.0
    parameters = [p for p, _ in known]
    flat = torch.cat([g.reshape(-1) for _, g in known])
    size = flat.numel()

    def product(vector: np.ndarray) -> np.ndarray:
        # H v = d (g . v) / d parameters, with g the gradient (Pearlmutter 1994): the Hessian [P, P] is never formed.
        v = torch.from_numpy(np.ascontiguousarray(vector.reshape(-1))).to(flat)
        second = torch.autograd.grad(flat, list(parameters), v, retain_graph=True, allow_unused=True)
        parts = [
            torch.zeros_like(p).reshape(-1) if h is None else h.reshape(-1)
            for p, h in zip(parameters, second, strict=True)
        ]
        return torch.cat(parts).detach().cpu().double().numpy()

    if size <= 2:  # ARPACK needs more dimensions than eigenvalues
        matrix = np.stack([product(row) for row in np.eye(size)])
        values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
        return float(values[np.argmax(np.abs(values))])
    from scipy.sparse.linalg import LinearOperator, eigsh

    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    # A fixed start vector: ARPACK's own is random, and the last bits of the result with it.
    start = np.random.Generator(np.random.PCG64(0)).standard_normal(size)
    (value,) = eigsh(operator, k=1, which="LM", v0=start, tol=1e-4, return_eigenvectors=False)
    return float(value)
