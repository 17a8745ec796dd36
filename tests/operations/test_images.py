import pytest
import torch
from torch import nn
from torch.testing import assert_close

from naslab.operations.images import (
    DARTS_OPERATIONS,
    DARTS_SEARCHED,
    NASBENCH201_OPERATIONS,
    FactorizedReduce,
    Zero,
)

ALL = [(name, make) for table in (DARTS_OPERATIONS, NASBENCH201_OPERATIONS) for name, make in table.items()]


@pytest.mark.parametrize(("name", "make"), ALL)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(8, 8), (7, 9), (1, 1), (28, 28)])
def test_keeps_channels_and_divides_the_size(name, make, stride, size):
    x = torch.randn(2, 6, *size)
    expected = (2, 6, *(-(-side // stride) for side in size))
    assert make(6, stride, True)(x).shape == expected


@pytest.mark.parametrize(("name", "make"), ALL)
@pytest.mark.parametrize("stride", [1, 2])
def test_affine_decides_whether_normalisation_is_learnt(name, make, stride):
    def learnt(affine: bool) -> list[bool]:
        norms = [m for m in make(4, stride, affine).modules() if isinstance(m, nn.BatchNorm2d)]
        return [m.affine for m in norms]

    assert all(learnt(True))
    assert not any(learnt(False))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("none", 0),
        ("max_pool_3x3", 0),
        ("avg_pool_3x3", 0),
        ("skip_connect", 0),
        ("sep_conv_3x3", 2 * (9 * 16 + 16 * 16 + 2 * 16)),
        ("sep_conv_5x5", 2 * (25 * 16 + 16 * 16 + 2 * 16)),
        ("sep_conv_7x7", 2 * (49 * 16 + 16 * 16 + 2 * 16)),
        ("dil_conv_3x3", 9 * 16 + 16 * 16 + 2 * 16),
        ("dil_conv_5x5", 25 * 16 + 16 * 16 + 2 * 16),
        ("conv_7x1_1x7", 2 * 7 * 16 * 16 + 2 * 16),
    ],
)
def test_parameter_counts(name, parameters):
    assert sum(p.numel() for p in DARTS_OPERATIONS[name](16, 1, True).parameters()) == parameters


@pytest.mark.parametrize(("name", "reach"), [("dil_conv_3x3", 2), ("dil_conv_5x5", 4), ("sep_conv_3x3", 2)])
def test_receptive_field(name, reach):
    """How far from a pixel its value is felt: dilation 2 doubles the reach, two convolutions add theirs."""
    operation = DARTS_OPERATIONS[name](1, 1, False).eval()
    for parameter in operation.parameters():
        nn.init.ones_(parameter)
    x = torch.zeros(1, 1, 21, 21)
    x[0, 0, 10, 10] = 1
    rows = operation(x)[0, 0].abs().sum(dim=1).nonzero().flatten()
    assert (rows.min(), rows.max()) == (10 - reach, 10 + reach)


def test_searched_operations_are_the_paper_s_eight():
    published = "none max_pool_3x3 avg_pool_3x3 skip_connect sep_conv_3x3 sep_conv_5x5 dil_conv_3x3 dil_conv_5x5"
    assert " ".join(DARTS_SEARCHED) == published


def test_average_pool_does_not_count_the_padding():
    x = torch.ones(1, 1, 4, 4)
    assert_close(DARTS_OPERATIONS["avg_pool_3x3"](1, 1, True)(x), x)
    assert_close(NASBENCH201_OPERATIONS["avg_pool_3x3"](1, 1, True)(x), x)


def test_factorized_reduce_sees_every_second_pixel_of_both_diagonals():
    reduce = FactorizedReduce(1, 2, affine=False).eval()
    nn.init.ones_(reduce.even.weight)
    nn.init.ones_(reduce.odd.weight)
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    scale = (1 + reduce.norm.eps) ** -0.5
    assert_close(reduce(x)[0], scale * torch.stack([x[0, 0, ::2, ::2], x[0, 0, 1::2, 1::2]]))


def test_zero_stops_what_is_not_finite():
    assert torch.equal(Zero(2)(torch.full((1, 1, 3, 3), float("nan"))), torch.zeros(1, 1, 2, 2))


def test_nasbench201_convolutions_are_relu_conv_norm():
    for name, kernel in (("nor_conv_1x1", 1), ("nor_conv_3x3", 3)):
        relu, convolution, norm = NASBENCH201_OPERATIONS[name](4, 1, True).children()
        assert isinstance(relu, nn.ReLU)
        assert isinstance(norm, nn.BatchNorm2d)
        assert isinstance(convolution, nn.Conv2d)
        assert convolution.kernel_size == (kernel, kernel)
        assert convolution.bias is None
