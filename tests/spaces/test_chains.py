"""Chains with and without skips."""

import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from naslab.errors import SpecError
from naslab.networks.chain import ChainNetwork, Layer, Merge, unused_states
from naslab.randomness import numpy_generator
from naslab.spaces import ChainSkips, MetaQNN

TASK = SimpleNamespace(input_shape=(1, 8, 8), classes=3)


def conv(channels: int, *sources: int, kernel: tuple[int, int] = (3, 3), stride: int = 1) -> Layer:
    return Layer("conv", kernel, stride, channels, sources)


# --- chains ------------------------------------------------------------------------------------------


def test_every_chain_keeps_the_rules():
    """A convolution first, no pooling after a pooling, and no more shrinking than agreed."""
    space, rng = MetaQNN(), numpy_generator("rules")
    depths, shrinks = set(), set()
    for _ in range(3000):
        layers = space.layers_of(space.sample(rng))
        kinds = [layer.kind for layer in layers]
        assert kinds[0] == "conv"
        assert not any("pool" in first and "pool" in second for first, second in itertools.pairwise(kinds))
        shrinks.add(math.prod(layer.stride for layer in layers))
        depths.add(len(layers))
    assert max(shrinks) == 8
    assert 6 in shrinks  # 2 from one layer, 3 from a pooling of 5 x 5
    assert len(depths) > 10


def test_metaqnn_s_layers():
    """Table 1 of the paper: three kernels, four widths, three poolings; 18 layers at most on CIFAR-10."""
    space = MetaQNN.paper()
    first = space.next_choice(())
    assert first.options == ("conv",)
    layers = space.layers_of(space.architecture(("conv", 5, 8, 1, "max_pool", "5x5/3", "conv", 1, 1, 1, "stop")))
    assert layers == [
        Layer("conv", (5, 5), 1, 512, (0,)),
        Layer("max_pool", (5, 5), 3, 0, (1,)),
        Layer("conv", (1, 1), 1, 64, (2,)),
    ]
    deepest = ("conv", 3, 1, 1) * 18
    assert space.next_choice(deepest) is None  # no stop is asked for where there is no going on
    assert space.next_choice(deepest[:-4]).options == ("conv", "max_pool", "avg_pool", "stop")


def test_a_chain_is_torch_s_sequence():
    space = MetaQNN(channels=4, shrink=4)
    choices = ("conv", 3, 1, 2, "avg_pool", "2x2/2", "conv", 1, 2, 1, "stop")
    network = space.build(space.architecture(choices), SimpleNamespace(input_shape=(2, 7, 9), classes=3)).eval()
    first, second = network.layers[0][0], network.layers[2][0]
    x = torch.randn(5, 2, 7, 9)
    y = nn.functional.conv2d(x, first.weight, stride=2, padding=1)
    y = nn.functional.avg_pool2d((y / math.sqrt(1 + 1e-5)).relu(), 2, ceil_mode=True)
    y = (nn.functional.conv2d(y, second.weight) / math.sqrt(1 + 1e-5)).relu()
    assert y.shape == (5, 8, 2, 3)
    torch.testing.assert_close(network(x), network.classifier(y.mean(dim=(2, 3))))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4), (8, 8), (9, 31)])
@pytest.mark.parametrize("window", [("2x2/2", 2), ("3x3/2", 2), ("5x5/3", 3)])
@pytest.mark.parametrize("kind", ["max_pool", "avg_pool"])
def test_sizes_are_divided_and_rounded_up(size, window, kind):
    written, stride = window
    layer = Layer(kind, (int(written[0]),) * 2, stride, 0, (0,)).module(2)
    x = torch.ones(1, 2, *size)
    expected = tuple(-(-length // stride) for length in size)
    assert layer(x).shape == (1, 2, *expected)
    assert torch.equal(layer(x), torch.ones(1, 2, *expected))  # padding does not count
    assert conv(3, 0, kernel=(5, 1), stride=stride).module(2)(torch.randn(2, 2, *size)).shape == (2, 3, *expected)


def test_images_that_are_too_small():
    space = MetaQNN()
    architecture = space.architecture(("conv", 3, 1, 2, "conv", 3, 1, 2, "conv", 3, 1, 2, "stop"))
    with pytest.raises(SpecError, match="7 x 9 is too small to be shrunk 8 times"):
        space.build(architecture, SimpleNamespace(input_shape=(1, 7, 9), classes=2))
    assert space.build(architecture, TASK, channels=2)(torch.randn(2, 1, 8, 8)).shape == (2, 3)


@pytest.mark.parametrize("make", [MetaQNN, ChainSkips])
def test_parameters_that_make_no_sense(make):
    with pytest.raises(SpecError, match=r"odd.*\[2, 4\]"):
        make(kernels=(1, 2, 4))
    with pytest.raises(SpecError, match="different whole numbers"):
        make(filters=(2, 2))
    with pytest.raises(SpecError, match="at most 64 layers"):
        make(layers=65)
    with pytest.raises(SpecError, match="each of filters"):
        make(filters=(1, 0))
    assert make(kernels=[1, 3]).kernels == (1, 3)


def test_some_stride_always_fits():
    with pytest.raises(SpecError, match="strides must have a 1"):
        MetaQNN(strides=(2,))


# --- skips -------------------------------------------------------------------------------------------


def test_anchors():
    space = ChainSkips.laptop()
    choices = ("conv", 3, 1, 2, 1, "conv", 1, 5, 4, 2, 0, "conv", 1, 1, 1, 1, 1, 1, "stop")
    layers = space.layers_of(space.architecture(choices))
    assert layers == [
        conv(16, 0, kernel=(3, 1)),
        conv(32, 0, kernel=(1, 5), stride=2),  # nothing leads here: it reads the image
        conv(8, 1, 2, kernel=(1, 1)),
    ]
    graph = space.graph(space.architecture(choices))
    assert set(graph.edges) == {
        ("chain/0", "chain/1"),
        ("chain/0", "chain/2"),
        ("chain/1", "chain/3"),
        ("chain/2", "chain/3"),
        ("chain/3", "chain/out"),
    }


def test_zoph_and_le_s_layers():
    """Sec. 4.1: kernels of 1, 3, 5 or 7 either way, 24, 36, 48 or 64 filters, 15 layers in the best network."""
    space = ChainSkips()
    architecture = space.architecture(("conv", 7, 5, 16, 1, "stop"))
    assert space.layers_of(architecture) == [conv(64, 0, kernel=(7, 5))]
    assert {f * space.channels for f in space.filters} == {24, 36, 48, 64}
    assert ChainSkips.paper().strides == (1, 2, 3)


def test_all_that_nothing_reads_is_the_output():
    layers = [conv(2, 0), conv(3, 1), conv(4, 1), conv(5, 2)]
    assert unused_states(layers) == (3, 4)
    network = ChainNetwork(layers, (1, 6, 6), 2, merge="concat")
    assert network.classifier.in_features == 9
    assert ChainNetwork(layers, (1, 6, 6), 2, merge="sum").classifier.in_features == 5


def test_merging_by_concatenation_pads_with_zeros():
    large, small = torch.rand(1, 2, 5, 4), torch.rand(1, 3, 2, 4)
    merged = Merge([2, 3], "concat")([large, small])
    assert merged.shape == (1, 5, 5, 4)
    assert torch.equal(merged[:, :2], large)
    assert torch.equal(merged[:, 2:, :2], small)
    assert not merged[:, 2:, 2:].any()


def test_merging_by_summation_widens_the_narrow():
    wide, narrow, same = torch.rand(1, 3, 4, 4), torch.rand(1, 2, 4, 2), torch.rand(1, 3, 4, 4)
    merge = Merge([3, 2, 3], "sum").eval()
    merged = merge([wide, narrow, same])
    projected = nn.functional.pad(merge.projections[1](narrow), (0, 2))
    torch.testing.assert_close(merged, wide + projected + same)
    assert [type(projection) for projection in merge.projections] == [nn.Identity, nn.Sequential, nn.Identity]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 4, 4), (3, 7, 5), (2, 9, 33)])
@pytest.mark.parametrize(
    "space", [MetaQNN.laptop(), ChainSkips.laptop(), ChainSkips(layers=5, merge="sum", strides=(1, 3))]
)
def test_any_image(shape, space):
    rng = numpy_generator("images")
    for _ in range(20):
        architecture = space.sample(rng)
        stride = math.prod(layer.stride for layer in space.layers_of(architecture))
        if isinstance(space, ChainSkips) or stride <= min(shape[1:]):
            network = space.build(architecture, SimpleNamespace(input_shape=shape, classes=3), channels=2).eval()
            assert network(torch.randn(2, *shape)).shape == (2, 3)
