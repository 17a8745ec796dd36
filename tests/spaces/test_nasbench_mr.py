"""The networks are those whose parameters were published; the numbers are read as they were written."""

from types import SimpleNamespace

import pytest
import torch

import naslab as nl
from naslab.errors import SpecError
from naslab.networks import cost

TASK = SimpleNamespace(input_shape=(3, 128, 128), classes=50)
EXAMPLE = "96_128-1_1_48-1_1_1_128_8-1_1_1_1_128_128_120-4_4_4_4_4_128_128_128_128-64"


@pytest.fixture(scope="module")
def table():
    return nl.benchmarks.NASBenchMR()


@pytest.mark.slow
def test_parameters_to_the_last_digit(table):
    """Those of the published table are of networks for 50 classes."""
    with torch.device("meta"):
        for index in range(0, 2507, 300):
            network = table.space.build(table.at(index), TASK)
            assert sum(p.numel() for p in network.parameters()) == table.query(index).parameters, index


def test_multiply_adds_are_near_the_published_ones(table):
    """Those count a little more (batch normalisation, resizing); images of 128 x 128."""
    for index in (1,):
        counted = cost(table.space.build(table.at(index), TASK), TASK.input_shape).multiply_adds
        assert 0.97 < counted / table.query(index).flops <= 1.0


def test_the_published_example():
    space = nl.spaces.NASBenchMR()
    architecture = space.parse(EXAMPLE)
    modules = space.modules(architecture)
    assert [module.channels for module in modules] == [(48,), (128, 8), (128, 128, 120), *[(128,) * 4] * 4]
    assert [module.units for module in modules] == [(1,), (1, 1), (1, 1, 1), *[(4,) * 4] * 4]
    for form in (space.format(architecture), f" {EXAMPLE}\n", space.format(architecture).replace(" ", " \n ")):
        assert space.parse(form) == architecture
    graph = space.graph(architecture)
    assert graph.number_of_nodes() == 2 + 1 + 2 + 3 + 16
    assert graph.has_edge("network/3/2", "network/4/1")
    assert not graph.has_edge("network/3/3", "network/4/1")


@pytest.mark.parametrize(
    "text", [EXAMPLE[:-3], EXAMPLE + "-64", EXAMPLE.replace("-64", "-63"), "", None, 7, "9" * 1000]
)
def test_what_is_no_network(text):
    with pytest.raises(SpecError):
        nl.spaces.NASBenchMR().parse(text)


def test_odd_images():
    space = nl.spaces.NASBenchMR()
    network = space.build(space.parse(EXAMPLE), SimpleNamespace(input_shape=(1, 27, 33), classes=4)).eval()
    assert network(torch.zeros(1, 1, 27, 33)).shape == (1, 4)
