from types import SimpleNamespace

import pytest
import torch
from torch import nn

from naslab.errors import SpecError
from naslab.networks.darts import CellPlan, DartsNetwork
from naslab.networks.genotype import Genotype
from naslab.networks.nasnet import Block, Cell, unused_states
from naslab.operations.images import FactorizedReduce
from naslab.operations.nasnet import NASNET_OPERATIONS
from naslab.randomness import numpy_generator
from naslab.spaces import NASNetCell

SPACE = NASNetCell()
CIFAR10 = SimpleNamespace(input_shape=(3, 32, 32), classes=10)
NASNET = (
    "Genotype(normal=[('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('sep_conv_5x5', 0), ('sep_conv_3x3', 0), "
    "('avg_pool_3x3', 1), ('skip_connect', 0), ('avg_pool_3x3', 0), ('avg_pool_3x3', 0), ('sep_conv_3x3', 1), "
    "('skip_connect', 1)], normal_concat=[2, 3, 4, 5, 6], reduce=[('sep_conv_5x5', 1), ('sep_conv_7x7', 0), "
    "('max_pool_3x3', 1), ('sep_conv_7x7', 0), ('avg_pool_3x3', 1), ('sep_conv_5x5', 0), ('skip_connect', 3), "
    "('avg_pool_3x3', 2), ('sep_conv_3x3', 2), ('max_pool_3x3', 1)], reduce_concat=[4, 5, 6])"
)
AMOEBANET = (
    "Genotype(normal=[('avg_pool_3x3', 0), ('max_pool_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_5x5', 2), "
    "('sep_conv_3x3', 0), ('avg_pool_3x3', 3), ('sep_conv_3x3', 1), ('skip_connect', 1), ('skip_connect', 0), "
    "('avg_pool_3x3', 1)], normal_concat=[4, 5, 6], reduce=[('avg_pool_3x3', 0), ('sep_conv_3x3', 1), "
    "('max_pool_3x3', 0), ('sep_conv_7x7', 2), ('sep_conv_7x7', 0), ('avg_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('max_pool_3x3', 1), ('conv_7x1_1x7', 0), ('sep_conv_3x3', 5)], reduce_concat=[3, 4, 6])"
)
"""As they are written in the code of DARTS."""


@pytest.mark.parametrize("text", [NASNET, AMOEBANET])
def test_published_cells_are_darts_s_networks_of_them(text):
    """The same weights fit, and give the same logits, in the network that was written for genotypes."""
    architecture, task = SPACE.parse(text), SimpleNamespace(input_shape=(3, 9, 8), classes=4)
    ours = SPACE.build(architecture, task, channels=4, cells=4).eval()
    theirs = DartsNetwork(Genotype.parse(text), task.input_shape, task.classes, channels=4, cells=4).eval()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 9, 8)
    assert torch.equal(ours(x), theirs(x))


def test_thirteen_operations_of_the_paper():
    assert len(NASNET_OPERATIONS) == 13
    for operation in NASNET_OPERATIONS.values():
        for stride, size in ((1, (5, 7)), (2, (3, 4))):
            assert operation(4, stride, True)(torch.randn(1, 4, 5, 7)).shape == (1, 4, *size)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("normal_concat=[2, 3, 4, 5, 6]", "normal_concat=[2, 3, 4, 5]"), "nothing reads 6 of the states"),
        (("reduce_concat=[4, 5, 6]", "reduce_concat=[3, 4, 5, 6]"), "must be what no other node reads"),
        (("('sep_conv_3x3', 1), ('skip_connect', 1)]", "]"), "expected 5 nodes in 'normal', got 4"),
        (("avg_pool_3x3', 1), ('skip", "none', 1), ('skip"), "unknown option 'none'"),
    ],
)
def test_genotypes_that_are_not_in_the_space(change, sentence):
    text = NASNET.replace(*change)
    if "got 4" in sentence:
        text = text.replace("normal_concat=[2, 3, 4, 5, 6]", "normal_concat=[2, 3, 4, 5]")
    with pytest.raises(SpecError, match=sentence):
        SPACE.parse(text)


def test_what_no_block_reads_is_the_output():
    def block(first, second):
        return Block((first, second), ("skip_connect", "skip_connect"), "add")

    assert unused_states([block(0, 1)]) == [2]
    assert unused_states([block(0, 0), block(2, 2), block(0, 3)]) == [4]
    assert unused_states([block(0, 0), block(1, 0), block(2, 0)]) == [3, 4]


def test_a_cell_by_hand():
    """Identities on two states: one block adds them, one puts them side by side and halves the channels again."""
    blocks = [
        Block((0, 1), ("skip_connect", "skip_connect"), "add"),
        Block((1, 2), ("skip_connect", "skip_connect"), "concat"),
    ]
    cell = Cell(blocks, CellPlan(2, 2, 2, reduction=False, after_reduction=False)).eval()
    for module in cell.preprocess.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.dirac_(module.weight)
    first, second = torch.rand(2, 1, 2, 3, 3)
    weight = cell.narrowing["1"][1].weight
    expected = torch.einsum("oc,bchw->bohw", weight[:, :, 0, 0], torch.cat([second, first + second], dim=1))
    torch.testing.assert_close(cell(first, second), expected, rtol=1e-3, atol=1e-3)
    assert cell.output == [3]


def test_a_reduction_cell_halves_what_comes_from_outside():
    blocks = [
        Block((0, 1), ("skip_connect", "max_pool_7x7"), "add"),
        Block((0, 2), ("conv_3x1_1x3", "conv_3x3"), "add"),
    ]
    cell = Cell(blocks, CellPlan(4, 4, 4, reduction=True, after_reduction=False))
    assert isinstance(cell.operations[0], FactorizedReduce)
    assert [module.stride for module in cell.modules() if isinstance(module, nn.MaxPool2d)] == [2]
    assert cell(*torch.randn(2, 1, 4, 5, 7)).shape == (1, 4, 3, 4)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 7, 5), (2, 9, 33)])
@pytest.mark.parametrize("cells", [1, 2, 3])
def test_any_image(shape, cells):
    space = NASNetCell(blocks=3, channels=3, cells=cells)
    rng = numpy_generator("images")
    for _ in range(3):
        network = space.build(space.sample(rng), SimpleNamespace(input_shape=shape, classes=3))
        assert network(torch.randn(2, *shape)).shape == (2, 3)


def test_what_cannot_be_built():
    with pytest.raises(SpecError, match="too small to be halved 2 times"):
        SPACE.build(SPACE.parse(NASNET), SimpleNamespace(input_shape=(1, 3, 3), classes=2))
    with pytest.raises(SpecError, match="at most 64 blocks"):
        NASNetCell(blocks=65)


def test_two_operations_from_one_state_are_one_edge():
    graph = SPACE.graph(SPACE.parse(NASNET))
    assert graph.edges["normal/c_{k-2}", "normal/3"]["op"] == "avg_pool_3x3 + avg_pool_3x3"
    assert graph.edges["normal/c_{k-1}", "normal/0"]["op"] == "sep_conv_5x5"
    outputs = {part: set(graph.predecessors(f"{part}/c_{{k}}")) for part in ("normal", "reduce")}
    assert outputs["normal"] == {f"normal/{block}" for block in range(5)}
    assert outputs["reduce"] == {"reduce/2", "reduce/3", "reduce/4"}
