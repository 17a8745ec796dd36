from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torchvision.models import mnasnet1_0

from naslab.errors import SpecError
from naslab.networks.cost import parameters
from naslab.networks.mnasnet import Block, MnasNetNetwork, Segment
from naslab.randomness import numpy_generator
from naslab.spaces import MnasNet

SPACE = MnasNet()
MNASNET_B1 = [
    Segment("dwconv", 3, 0.0, "none", 16, 1, 1),
    Segment("mbconv3", 3, 0.0, "identity", 24, 3, 2),
    Segment("mbconv3", 5, 0.0, "identity", 40, 3, 2),
    Segment("mbconv6", 5, 0.0, "identity", 80, 3, 2),
    Segment("mbconv6", 3, 0.0, "identity", 96, 2, 1),
    Segment("mbconv6", 5, 0.0, "identity", 192, 4, 2),
    Segment("mbconv6", 3, 0.0, "identity", 320, 1, 1),
]


def test_mnasnet_of_our_blocks_is_torchvision_s():
    """Every weight has its counterpart, and the function is the same."""
    ours = MnasNetNetwork(MNASNET_B1, (3, 64, 64), 1000, stem=32, stem_stride=2, head=1280).double()
    theirs = mnasnet1_0(dropout=0.0).double()
    assert parameters(ours) == parameters(theirs) == 4_383_312
    for mine, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        mine.copy_(other)
    x = torch.randn(4, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():  # in training, where normalisation keeps the numbers from fading away
        torch.testing.assert_close(ours(x), theirs(x))
        assert ours(x).std() > 0.01


def test_there_are_432_kinds_of_a_segment():
    """The paper's example of S = 432, Sec. 4.1; the first and the last segment are not shortened."""
    per_segment = [1] * 7
    for choice in SPACE.fixed_choices:
        per_segment[int(choice.name.split("/")[1]) - 1] *= len(choice.options)
    assert per_segment == [288, 432, 432, 432, 432, 432, 288]


def test_widths_and_depths_are_relative_to_mobilenet_v2():
    middle = SPACE.architecture(("mbconv6", 3, 0.0, "identity", 1.0, 0) * 7)
    segments = SPACE.segments_of(middle)
    assert [segment.channels for segment in segments] == [16, 24, 32, 64, 96, 160, 320]
    assert [segment.layers for segment in segments] == [1, 2, 3, 4, 3, 3, 1]
    assert [segment.stride for segment in segments] == [1, 2, 2, 2, 1, 2, 1]
    wider = SPACE.architecture(("mbconv6", 3, 0.0, "identity", 1.25, 1) * 7)
    assert [segment.channels for segment in SPACE.segments_of(wider, 8)] == [5, 8, 10, 20, 30, 50, 100]
    assert [segment.layers for segment in SPACE.segments_of(wider)] == [2, 3, 4, 5, 4, 4, 2]


@pytest.mark.parametrize("operation", ["conv", "dwconv", "mbconv3", "mbconv6"])
@pytest.mark.parametrize("excitation", [0.0, 0.25])
def test_the_skips(operation, excitation):
    """With a last normalisation that gives zeros, only the skip is left."""
    x = torch.rand(2, 4, 5, 7)

    def beside(skip: str, channels: int, stride: int) -> torch.Tensor:
        block = Block(Segment(operation, 3, excitation, skip, channels, 1, stride), 4, stride).eval()
        last = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)][-1]
        nn.init.zeros_(last.weight)
        y = block(x)
        assert y.shape == (2, channels, -(-5 // stride), -(-7 // stride))
        return y

    assert torch.equal(beside("identity", 4, 1), x)
    assert not beside("identity", 4, 2).any()
    assert not beside("identity", 6, 1).any()
    assert not beside("none", 4, 1).any()
    pooled = nn.functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    assert torch.equal(beside("pool", 3, 2), pooled[:, :3])
    wider = beside("pool", 6, 2)
    assert torch.equal(wider[:, :4], pooled)
    assert not wider[:, 4:].any()


def test_squeeze_and_excitation_weighs_channels():
    plain, excited = (Segment("mbconv6", 3, share, "none", 8, 1, 1) for share in (0.0, 0.25))
    first, second = Block(plain, 8, 1), Block(excited, 8, 1)
    assert parameters(second) - parameters(first) == (48 * 2 + 2) + (2 * 48 + 48)  # 8 / 4 = 2 channels inside
    x = torch.rand(1, 48, 3, 3)
    excitation = second.convolutions[2]
    nn.init.zeros_(excitation.weights[3].weight)
    nn.init.constant_(excitation.weights[3].bias, 0.0)
    torch.testing.assert_close(excitation(x), x / 2)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 7, 5), (2, 9, 33)])
def test_any_image(shape):
    space, rng = MnasNet.laptop(), numpy_generator("images")
    for _ in range(5):
        network = space.build(space.sample(rng), SimpleNamespace(input_shape=shape, classes=3))
        assert network(torch.randn(2, *shape)).shape == (2, 3)


def test_what_cannot_be_built():
    with pytest.raises(SpecError, match="too small to be halved 5 times"):
        SPACE.build(SPACE.sample(numpy_generator("small")), SimpleNamespace(input_shape=(3, 31, 31), classes=10))
    with pytest.raises(SpecError, match="7 segments"):
        MnasNet(segments=8)
    with pytest.raises(SpecError, match="1 or 2"):
        MnasNet(stem_stride=3)
