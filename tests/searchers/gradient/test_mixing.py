"""Mixing rules against their closed forms."""

import numpy as np
import pytest
import torch

from naslab.randomness import torch_generator
from naslab.searchers.gradient.mixing import JointSoftmax, Sigmoid, Simplexes, Softmax, entering
from naslab.spaces import DartsCell, NASBench201

ENTERING = {
    "normal": [[0, 1], [2, 3, 4], [5, 6, 7, 8]],
    "reduce": [[0, 1], [2, 3, 4], [5, 6, 7, 8]],
}


def test_edges_that_enter_a_node():
    assert entering(DartsCell(nodes=3)) == ENTERING
    assert entering(NASBench201()) == {"cell": [[0], [1, 2], [3, 4, 5]]}


@pytest.mark.parametrize("space", [DartsCell(nodes=3), NASBench201()])
def test_the_joint_softmax_is_one_distribution_a_node(space):
    """Against NumPy, written out; on its own, each edge would sum to one."""
    for part, groups in entering(space).items():
        alpha = torch.randn(space.edges()[part], len(space.operations), generator=torch_generator(part))
        weights = JointSoftmax().simplexes(groups).weights(alpha).numpy()
        powers = np.exp(alpha.double().numpy())
        for rows in groups:
            np.testing.assert_allclose(weights[rows], powers[rows] / powers[rows].sum(), rtol=1e-5)
            assert weights[rows].sum() == pytest.approx(1, abs=1e-6)


def test_the_order_of_rows_survives_whatever_the_groups():
    alpha = torch.randn(5, 3, generator=torch_generator("order"))
    mixed = Simplexes([[4, 1], [0, 3, 2]])
    assert torch.equal(mixed.map(lambda x: x, alpha), alpha)
    weights = mixed.weights(alpha)
    assert weights[[4, 1]].sum() == pytest.approx(1, abs=1e-6)
    assert weights[[0, 2, 3]].sum() == pytest.approx(1, abs=1e-6)


def test_softmax_and_sigmoid():
    alpha = torch.randn(5, 3, generator=torch_generator("rules"))
    assert torch.equal(Softmax().simplexes([]).weights(alpha), alpha.softmax(dim=1))
    assert torch.equal(Sigmoid().simplexes([]).weights(alpha), alpha.sigmoid())
    assert not Sigmoid.distribution
