import torch
from torch import nn

from naslab.networks.cost import cost, parameters
from naslab.networks.darts import DartsNetwork
from naslab.networks.genotype import Genotype


def test_convolutions_and_linear_layers_by_hand():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),  # 9 * 3 * 8 a pixel
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 5, stride=2, padding=2, groups=8),  # 25 * 8 on a quarter of the pixels
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    )
    measured = cost(network, (3, 16, 16))
    assert measured.multiply_adds == 256 * 9 * 3 * 8 + 64 * 25 * 8 + 80
    assert measured.parameters == parameters(network) == 216 + 16 + 208 + 90


def test_what_is_for_training_only_costs_nothing():
    cell = ((("skip_connect", 0), ("sep_conv_3x3", 1)), (2,))
    plain, auxiliary = (
        DartsNetwork(Genotype(*cell, *cell), (1, 8, 8), 3, channels=2, cells=3, auxiliary=with_head)
        for with_head in (False, True)
    )
    assert cost(auxiliary, (1, 8, 8)).multiply_adds == cost(plain, (1, 8, 8)).multiply_adds
    assert parameters(auxiliary) > parameters(plain)


def test_the_network_is_left_as_it_is():
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    cost(network, (3, 4, 4))
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
