import contextlib
import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from naslab.errors import SpecError
from naslab.networks.cost import parameters
from naslab.networks.darts import reductions
from naslab.networks.enas_micro import Cell, EnasMicroNetwork, Entrance, MicroPlan, Node, plan, unused_states
from naslab.randomness import numpy_generator
from naslab.spaces import EnasMicro

SPACE = EnasMicro()
CIFAR10 = SimpleNamespace(input_shape=(3, 32, 32), classes=10)
PUBLISHED = """
    0 2 0 0  0 4 0 1  0 4 1 1  1 0 0 1  0 2 1 1
    1 0 1 0  0 3 0 2  1 1 3 1  1 0 0 4  0 3 1 1
"""
"""The cells that the authors' code trains (`scripts/cifar10_micro_final.sh`): normal, then reduction."""


def test_the_size_and_the_paper_s_own_count():
    """Sec. 2.4: (5 (B - 2)!)^4 = 1.3 10^11 for B = 7; with an operation for each of two inputs of each node, more."""
    b = SPACE.nodes + 2
    assert (5 * math.factorial(b - 2)) ** 4 == pytest.approx(1.3e11, rel=0.01)
    assert SPACE.size == (5 ** (b - 2) * math.factorial(b - 1)) ** 4
    assert float(SPACE.size) == pytest.approx(2.6e25, rel=0.02)


def test_published_numbers_round_trip():
    architecture = SPACE.parse(PUBLISHED)
    assert SPACE.format(architecture) == " ".join(PUBLISHED.split())
    cells = SPACE.cells_of(architecture)
    assert cells["normal"][0] == Node((0, 0), ("avg_pool_3x3", "sep_conv_3x3"))
    assert cells["normal"][3] == Node((1, 0), ("sep_conv_3x3", "sep_conv_5x5"))
    assert cells["reduce"][2] == Node((1, 3), ("sep_conv_5x5", "sep_conv_5x5"))
    assert cells["reduce"][4].operations == ("max_pool_3x3", "sep_conv_5x5")
    rng = numpy_generator("round trip")
    for _ in range(50):
        drawn = SPACE.sample(rng)
        assert SPACE.parse(SPACE.format(drawn)) == drawn


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "40 numbers"),
        ("0 1 0", "40 numbers"),
        (None, "40 numbers"),
        (PUBLISHED.replace("0 2 0 0", "0 2 2 0", 1), "'normal/0/input_1' is a number from 0 to 1"),
        (PUBLISHED.replace("0 2 0 0", "0 5 0 0", 1), "'normal/0/op_0' is a number from 0 to 4"),
        (PUBLISHED.replace("1 1 3 1", "1 1 4 1", 1), "'reduce/2/input_1' is a number from 0 to 3"),
        (PUBLISHED.replace("1 1 3 1", "1 1 -1 1", 1), "40 numbers"),
        (PUBLISHED.replace("1 1 3 1", "1 1 3 99999999999999999", 1), "'reduce/2/op_1' is a number from 0 to 4"),
    ],
)
def test_bad_numbers(text, sentence):
    with pytest.raises(SpecError, match=sentence):
        SPACE.parse(text)


@given(st.text(alphabet="01234567 x-", max_size=120))
def test_only_spec_error_comes_out_of_text(text):
    with contextlib.suppress(SpecError):
        SPACE.parse(text)


# --- the network -------------------------------------------------------------------------------------


@pytest.mark.parametrize("normal_cells", [3, 6, 9, 15])
def test_reductions_stand_where_the_authors_have_them(normal_cells):
    """They number N normal cells and two reductions, these at N // 3 and 2 (N // 3) + 1."""
    assert reductions(normal_cells + 2) == (normal_cells // 3, 2 * (normal_cells // 3) + 1)


def test_the_widths_that_cells_find():
    """As the authors' code has them: a halved output takes the place of the last but one."""
    assert list(plan(20, 8)) == [
        (60, 60, 20, False),
        (60, 20, 20, False),
        (20, 20, 40, True),
        (40, 40, 40, False),
        (40, 40, 40, False),
        (40, 40, 80, True),
        (80, 80, 80, False),
        (80, 80, 80, False),
    ]
    assert list(plan(2, 3)) == [(6, 6, 2, False), (6, 2, 4, True), (4, 4, 8, True)]


def test_what_no_node_reads_is_the_output():
    def node(first, second):
        return Node((first, second), ("skip_connect", "skip_connect"))

    assert unused_states([node(0, 1)]) == [2]
    assert unused_states([node(1, 1)]) == [0, 2]
    assert unused_states([node(0, 0), node(2, 2), node(0, 3)]) == [1, 4]


def test_a_cell_by_hand():
    """Identities: node 0 is the sum of the inputs, node 1 twice node 0, and so on; input 1 is left unread once."""
    nodes = [Node((0, 0), ("skip_connect",) * 2), Node((2, 0), ("skip_connect",) * 2)]
    cell = Cell(nodes, MicroPlan(4, 4, 4, reduction=False)).eval()
    first, second = torch.rand(2, 1, 4, 3, 3)
    last, out = cell(first, second)
    weight = cell.merge[1].weight[:, :, 0, 0]
    expected = torch.einsum("oc,bchw->bohw", weight, torch.cat([second, 3 * first], dim=1))
    torch.testing.assert_close(out, expected, rtol=1e-3, atol=1e-3)
    assert last is second


def test_a_reduction_cell_reads_the_last_output_twice():
    """The published graph reduces it, without ReLU, and hands it on; the old one is brought to that size with ReLU."""
    entrance = Entrance(MicroPlan(2, 2, 4, reduction=True)).eval()
    before_last, last = torch.full((1, 2, 4, 4), 7.0), -torch.rand(1, 2, 5, 6)
    states, handed_on = entrance(before_last, last)
    assert [tuple(state.shape) for state in states] == [(1, 4, 3, 3)] * 2
    assert handed_on is states[1]
    assert states[1].abs().max() > 0  # negative values come through
    assert states[0].abs().max() == 0  # and not here, and neither does the output before the last


def test_parameters_by_hand():
    """Stem; a normal cell after it; two reduction cells. Each with its operations and the 1 x 1 convolution."""
    space = EnasMicro(nodes=1, channels=4, cells=3)
    architecture = space.architecture([0, 1, "sep_conv_3x3", "skip_connect", 0, 0, "sep_conv_5x5", "max_pool_3x3"])

    def separable(c, k):
        return 2 * (c * k * k + c * c + 2 * c)

    def one_by_one(a, b):
        return a * b + 2 * b

    stem = 3 * 12 * 9 + 24
    normal = 2 * one_by_one(12, 4) + separable(4, 3) + one_by_one(4, 4)
    reduce = [2 * one_by_one(c, 2 * c) + separable(2 * c, 5) + one_by_one(4 * c, 2 * c) for c in (4, 8)]
    network = space.build(architecture, CIFAR10)
    assert parameters(network) == stem + normal + sum(reduce) + 16 * 10 + 10
    assert isinstance(network, EnasMicroNetwork)
    wider = space.build(architecture, CIFAR10, channels=6, cells=5)
    assert (len(wider.cells), wider.classifier.in_features) == (5, 24)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 7, 5), (2, 9, 33)])
@pytest.mark.parametrize("cells", [1, 2, 3, 5])
def test_any_image_and_depth(shape, cells):
    space = EnasMicro(nodes=3, channels=3, cells=cells)
    rng = numpy_generator("images")
    for _ in range(3):
        network = space.build(space.sample(rng), SimpleNamespace(input_shape=shape, classes=3))
        assert network(torch.randn(2, *shape)).shape == (2, 3)


def test_no_operation_has_a_stride():
    network = SPACE.build(SPACE.parse(PUBLISHED), CIFAR10, channels=2)
    convolutions = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
    strides = [module.stride for module in network.modules() if isinstance(module, convolutions)]
    assert set(strides) <= {1, (1, 1)}


def test_what_cannot_be_built():
    with pytest.raises(SpecError, match="too small to be halved 2 times"):
        SPACE.build(SPACE.parse(PUBLISHED), SimpleNamespace(input_shape=(1, 3, 3), classes=2))
    with pytest.raises(SpecError, match="at most 64 nodes"):
        EnasMicro(nodes=65)


def test_the_graph_of_the_published_cells():
    graph = SPACE.graph(SPACE.parse(PUBLISHED))
    assert graph.edges["normal/c_{k-2}", "normal/0"]["op"] == "avg_pool_3x3 + sep_conv_3x3"
    assert graph.edges["reduce/1", "reduce/2"]["op"] == "sep_conv_5x5"
    assert set(graph.predecessors("normal/c_{k}")) == {f"normal/{node}" for node in range(5)}
    assert set(graph.predecessors("reduce/c_{k}")) == {f"reduce/{node}" for node in (0, 2, 3, 4)}
