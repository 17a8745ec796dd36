import itertools
from collections import Counter
from types import SimpleNamespace

import networkx as nx
import pytest
import torch
from torch import nn

from naslab.errors import SpecError
from naslab.networks.cost import parameters
from naslab.networks.hierarchical import Motif, edges_on_paths
from naslab.operations.hierarchical import PRIMITIVES
from naslab.randomness import numpy_generator
from naslab.spaces import Hierarchical

SPACE = Hierarchical()
TASK = SimpleNamespace(input_shape=(1, 8, 8), classes=3)


def paths(edges, nodes: int) -> int:
    graph = nx.DiGraph(list(edges))
    graph.add_nodes_from(range(nodes))
    return sum(1 for _ in nx.all_simple_paths(graph, 0, nodes - 1))


def test_the_size_of_the_paper_s_space():
    """Six operations and none on each of 6 edges of 6 motifs; six motifs and none on each of 10 edges of the cell."""
    assert SPACE.size == 7**46


def test_identities_in_a_sum_count_paths():
    """With identities on all edges, and sums at all nodes, a cell multiplies by the number of ways through it."""
    rng = numpy_generator("paths")
    space = Hierarchical(merge="sum", channels=2)
    for _ in range(30):
        drawn = space.sample(rng)
        architecture = space.architecture(
            [value if value == "none" or str(value).startswith("motif") else "identity" for value in drawn.choices]
        )
        motifs = space.motifs_of(architecture)
        ways = {name: paths(edges, 4) for name, edges in motifs.items() if name != "cell"}
        graph = nx.DiGraph()
        graph.add_nodes_from(range(5))
        for (source, target), motif in motifs["cell"].items():
            graph.add_edge(source, target, ways=ways[motif])
        total = {0: 1}
        for node in range(1, 5):
            total[node] = sum(total[s] * data["ways"] for s, _, data in graph.in_edges(node, data=True))
        x = torch.rand(1, 2, 3, 3, dtype=torch.float64)
        torch.testing.assert_close(space.build(architecture, TASK).layers[1](x), total[4] * x)


def test_concatenations_are_narrowed():
    edges = {(0, 1): "identity", (0, 2): "identity", (1, 2): "max_pool_3x3"}
    motif = Motif(edges, lambda name: PRIMITIVES[name](3), 3, "concat").eval()
    x = torch.rand(1, 3, 4, 4)
    both = torch.cat([x, nn.functional.max_pool2d(x, 3, 1, 1)], dim=1)
    torch.testing.assert_close(motif(x), motif.merges["2"](both))
    assert list(motif.merges) == ["2"]  # node 1 reads one state only
    assert parameters(motif) == 6 * 3 + 2 * 3


def test_dead_ends_are_left_out():
    edges = {(0, 1): "a", (1, 3): "b", (0, 2): "c", (2, 4): "d", (3, 5): "e"}
    assert edges_on_paths(edges, 5) == {(0, 2): "c", (2, 4): "d"}
    assert edges_on_paths({(0, 1): "a", (1, 2): "b"}, 4) == {}
    assert edges_on_paths({(1, 2): "a", (2, 3): "b"}, 4) == {}
    rng = numpy_generator("ends")
    for _ in range(200):
        some = {(s, t): "x" for t in range(1, 5) for s in range(t) if rng.random() < 0.4}
        graph = nx.DiGraph(list(some))
        graph.add_nodes_from(range(5))
        used = {edge for path in nx.all_simple_paths(graph, 0, 4) for edge in itertools.pairwise(path)}
        assert set(edges_on_paths(some, 5)) == used


def test_a_motif_without_a_way_through_is_none():
    """In the cell it is as if the edge were not there; a cell without a way through gives zeros, and still trains."""
    space = Hierarchical(motifs=2, nodes=2, cell_nodes=3)
    answers = dict.fromkeys((choice.name for choice in space.fixed_choices), "none")
    answers |= {"motif_1/0_1": "conv_1x1", "cell/0_2": "motif_1", "cell/0_1": "motif_2", "cell/1_2": "motif_1"}
    assert space.motifs_of(space.architecture(list(answers.values()))) == {
        "cell": {(0, 2): "motif_1"},
        "motif_1": {(0, 1): "conv_1x1"},
    }
    nothing = space.architecture(["none"] * len(answers))
    network = space.build(nothing, TASK)
    assert not network.layers[1](torch.randn(2, 16, 8, 8)).any()
    network(torch.randn(2, 1, 8, 8)).sum().backward()


def test_each_place_of_a_motif_has_its_own_weights():
    space = Hierarchical(motifs=1, nodes=2, cell_nodes=3, channels=2)
    network = space.build(space.architecture(["conv_1x1", "motif_1", "none", "motif_1"]), TASK)
    cell = network.layers[1]
    assert parameters(cell) == 2 * (2 * 2 + 2 * 2)
    first, second = (cell.operations[edge].operations["0_1"][0].weight for edge in ("0_1", "1_2"))
    assert not torch.equal(first, second)


@pytest.mark.slow
def test_the_mutation_of_the_paper():
    """Level 2 or 3, evenly; there a motif, evenly; a node, evenly; a node before it, evenly; another operation."""
    rng = numpy_generator("mutation")
    parent = SPACE.sample(rng)
    names = [choice.name for choice in SPACE.fixed_choices]
    draws, changed = 8_000, Counter()
    for _ in range(draws):
        child = SPACE.mutate(parent, rng)
        different = [i for i, (old, new) in enumerate(zip(parent.choices, child.choices, strict=True)) if old != new]
        assert len(different) == 1
        changed[names[different[0]]] += 1
    for name in names:
        part, edge = name.split("/")
        node = int(edge.split("_")[1])
        expected = 1 / 2 / 4 / node if part == "cell" else 1 / 2 / 6 / 3 / node
        deviation = (expected * (1 - expected) / draws) ** 0.5
        assert abs(changed[name] / draws - expected) < 4.5 * deviation, name


def test_evolution_begins_with_chains_of_identities():
    architecture = SPACE.identity()
    assert SPACE.motifs_of(architecture) == {
        "cell": {(node, node + 1): "motif_1" for node in range(4)},
        "motif_1": {(node, node + 1): "identity" for node in range(3)},
    }
    x = torch.rand(1, 16, 4, 4)
    assert torch.equal(SPACE.build(architecture, TASK).layers[1](x), x)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 7, 5), (2, 9, 33)])
@pytest.mark.parametrize("merge", ["concat", "sum"])
def test_any_image(shape, merge):
    space = Hierarchical(channels=3, merge=merge)
    rng = numpy_generator("images")
    for _ in range(3):
        network = space.build(space.sample(rng), SimpleNamespace(input_shape=shape, classes=3))
        assert network(torch.randn(2, *shape)).shape == (2, 3)


def test_what_cannot_be_built():
    with pytest.raises(SpecError, match="too small to be halved 2 times"):
        SPACE.build(SPACE.identity(), SimpleNamespace(input_shape=(1, 3, 3), classes=2))
    with pytest.raises(SpecError, match="nodes is a number from 2"):
        Hierarchical(nodes=1)
    with pytest.raises(SpecError, match="at most 16 motifs"):
        Hierarchical(motifs=17)
    with pytest.raises(SpecError, match="did you mean 'concat'"):
        Hierarchical(merge="concatenate")


def test_a_separable_convolution_behind_every_cell():
    space = Hierarchical(channels=4, cells=2)
    network = space.build(space.sample(numpy_generator(0)), TASK)
    behind = [(layer[0].stride[0], layer[1].out_channels) for layer in network.layers[2::2]]
    assert behind == [(1, 4), (2, 8), (1, 8), (2, 16), (1, 16), (1, 16)]
