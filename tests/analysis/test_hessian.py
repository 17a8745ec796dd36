"""The dominant eigenvalue of a Hessian, against matrices whose eigenvalues are known."""

import pytest
import torch

from naslab.analysis.hessian import dominant_eigenvalue


def test_of_a_quadratic_form():
    x = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    factors = torch.tensor([1.0, -7.0, 3.0, 0.5, 2.0], dtype=torch.float64)
    assert dominant_eigenvalue(0.5 * (factors * x * x).sum(), [x]) == pytest.approx(-7)


def test_parameters_that_the_loss_does_not_know():
    x, y = (torch.ones(4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    factors = torch.tensor([1.0, 2.0, 3.0, 0.5], dtype=torch.float64)
    assert dominant_eigenvalue((factors * x * x).sum(), [x, y]) == pytest.approx(6)
    assert dominant_eigenvalue((3 * x).sum(), [x, y]) == 0
