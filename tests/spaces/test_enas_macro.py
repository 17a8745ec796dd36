import contextlib
from types import SimpleNamespace

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from naslab.errors import SpecError
from naslab.networks.cost import parameters
from naslab.networks.enas_macro import EnasMacroNetwork, MacroLayer, reductions
from naslab.operations.enas import ENAS_OPERATIONS
from naslab.randomness import numpy_generator
from naslab.spaces import EnasMacro

SPACE = EnasMacro()
CIFAR10 = SimpleNamespace(input_shape=(3, 32, 32), classes=10)
PUBLISHED = """
    0
    3 0
    0 1 0
    2 0 0 1
    2 0 0 0 0
    3 1 1 0 1 0
    2 0 0 0 0 0 1
    2 0 1 1 0 1 1 1
    1 0 1 1 1 0 1 0 1
    0 0 0 0 0 0 0 0 0 0
    2 0 0 0 0 0 1 0 0 0 0
    0 1 0 0 1 1 0 0 0 0 1 1
"""
"""The first twelve layers of the network that the authors' code trains (`scripts/cifar10_macro_final.sh`)."""


def test_the_published_size():
    """1.6 10^29 networks of 12 layers, Sec. 2.3."""
    assert float(SPACE.size) == pytest.approx(1.6e29, rel=0.01)


def test_published_numbers_round_trip():
    architecture = SPACE.parse(PUBLISHED)
    assert SPACE.format(architecture) == " ".join(PUBLISHED.split())
    layers = SPACE.layers_of(architecture)
    assert layers[0] == ("conv_3x3", ())
    assert layers[1] == ("sep_conv_5x5", ())
    assert layers[2] == ("conv_3x3", (0,))
    assert layers[7] == ("conv_5x5", (1, 2, 4, 5, 6))
    rng = numpy_generator("round trip")
    for _ in range(50):
        drawn = SPACE.sample(rng)
        assert SPACE.parse(SPACE.format(drawn)) == drawn


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "78 numbers"),
        ("0 1 0", "78 numbers"),
        (None, "78 numbers"),
        (PUBLISHED.replace("3 0\n", "3 2\n", 1), "'chain/2/from_0' is a number from 0 to 1"),
        (PUBLISHED.replace("3 0\n", "6 0\n", 1), "'chain/2/op' is a number from 0 to 5"),
        (PUBLISHED.replace("3 0\n", "-1 0\n", 1), "78 numbers"),
        (PUBLISHED.replace("3 0\n", "9999999999999999 0\n", 1), "from 0 to 5"),
    ],
)
def test_bad_numbers(text, sentence):
    with pytest.raises(SpecError, match=sentence):
        SPACE.parse(text)


@given(st.text(alphabet="0123456 x-", max_size=200))
def test_only_spec_error_comes_out_of_text(text):
    with contextlib.suppress(SpecError):
        SPACE.parse(text)


# --- the network -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layers", "after"), [(1, ()), (2, ()), (3, (1, 2)), (6, (2, 4)), (12, (4, 8)), (14, (4, 8))])
def test_reductions_stand_after_each_third(layers, after):
    """As in the authors' code, where they are numbered from 0: L // 3 - 1 and 2 (L // 3) - 1."""
    assert reductions(layers) == after


@pytest.mark.parametrize("operation", ENAS_OPERATIONS)
def test_parameters_of_a_layer(operation):
    """1 x 1 convolution, then the operation, each convolution with its normalisation; by hand."""
    channels_in, channels = 5, 7
    expected = channels_in * channels + 2 * channels
    if "conv" in operation:
        kernel = int(operation[-1])
        spatial = channels * kernel**2 + channels**2 if "sep" in operation else channels**2 * kernel**2
        expected += spatial + 2 * channels
    module = ENAS_OPERATIONS[operation](channels_in, channels)
    assert parameters(module) == expected
    assert module(torch.randn(2, channels_in, 4, 6)).shape == (2, channels, 4, 6)


def test_what_a_layer_reads():
    """Averages of constants, and convolutions of ones: each channel is four times the sum of what the layer reads."""
    layer = MacroLayer("avg_pool_3x3", (0, 1, 2), 4, first=False).eval()
    for module in layer.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.ones_(module.weight)
    states = [torch.full((1, 4, 2, 2), 10.0**power) for power in range(5)]
    expected = 4 * (1 + 10 + 100) + 4 * 4 * 10_000  # the operation has a convolution of its own
    torch.testing.assert_close(layer(states), torch.full((1, 4, 2, 2), float(expected)), rtol=1e-4, atol=0)


def test_the_first_layer_has_nothing_to_merge():
    """And neither has any other a skip from the layer before, which it reads anyhow."""
    network = EnasMacroNetwork([("conv_3x3", ()), ("conv_3x3", ()), ("conv_3x3", (1,))], (1, 8, 8), 2, channels=2)
    assert [isinstance(layer.merge, nn.Identity) for layer in network.layers] == [True, False, False]
    assert SPACE.next_choice(("conv_3x3", "conv_3x3")).name == "chain/2/from_0"
    assert SPACE.next_choice(("conv_3x3", "conv_3x3", 0)).name == "chain/3/op"


def test_states_are_reduced_as_long_as_they_are_read():
    skips = [(), (), (0,), (1,), (0, 1, 2)]
    network = EnasMacroNetwork([("max_pool_3x3", s) for s in skips], (1, 8, 8), 2, channels=1)
    kept = {number: list(reduction.by_state) for number, reduction in network.reductions.items()}
    assert kept == {"1": ["0", "1"], "2": ["0", "1", "2"]}
    assert network.classifier.in_features == 4
    network = EnasMacroNetwork([("max_pool_3x3", ())] * 6, (1, 8, 8), 2, channels=1)
    assert [list(reduction.by_state) for reduction in network.reductions.values()] == [["2"], ["4"]]


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 7, 5), (2, 9, 33)])
@pytest.mark.parametrize("layers", [1, 2, 3, 7])
def test_any_image_and_depth(shape, layers):
    space = EnasMacro(layers=layers, channels=3)
    rng = numpy_generator("images")
    for _ in range(3):
        network = space.build(space.sample(rng), SimpleNamespace(input_shape=shape, classes=3))
        assert network(torch.randn(2, *shape)).shape == (2, 3)


def test_what_cannot_be_built():
    with pytest.raises(SpecError, match="too small to be halved 2 times"):
        SPACE.build(SPACE.parse(PUBLISHED), SimpleNamespace(input_shape=(1, 3, 3), classes=2))
    with pytest.raises(SpecError, match="at most 64 layers"):
        EnasMacro(layers=65)


def test_the_graph_has_all_skips():
    architecture = SPACE.parse(PUBLISHED)
    graph = SPACE.graph(architecture)
    assert graph.number_of_edges() == 12 + sum(len(skips) for _, skips in SPACE.layers_of(architecture))
    assert nx.dag_longest_path_length(graph) == 12
