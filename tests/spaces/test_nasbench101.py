import itertools
from functools import cache
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest
import torch
from torch import nn

from naslab.errors import SpecError
from naslab.networks.cost import parameters
from naslab.networks.nasbench101 import vertex_channels
from naslab.randomness import numpy_generator
from naslab.spaces import NASBench101
from naslab.spaces.nasbench101 import OPERATIONS, cell_hash

SPACE = NASBench101()
CIFAR10 = SimpleNamespace(input_shape=(3, 32, 32), classes=10)
CONV3, CONV1, POOL = OPERATIONS


def matrix(rows: str) -> np.ndarray:
    """Rows of 0 and 1, separated by spaces."""
    return np.array([[int(bit) for bit in row] for row in rows.split()])


def cell(rows: str, *inner: str):
    return SPACE.from_cell(matrix(rows), ["input", *inner, "output"])


INCEPTION = cell("0111010 0000001 0000001 0000100 0000001 0000001 0000000", CONV1, CONV3, CONV3, CONV3, POOL)
"""The cell of the benchmark's own example."""


# --- the published facts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "inner", "key", "count"),
    [
        # the example of the benchmark's README, and cells of EC-NAS (https://arxiv.org/abs/2210.06015)
        (None, (), "28cfc7874f6d200472e1a9dcd8650aa0", 2_694_282),
        ("0110 0010 0001 0000", (POOL, POOL), "001a6fcc8b38cbc515be788a86bdc804", 1_756_298),
        ("0101 0011 0001 0000", (CONV3, CONV3), "01f0f1cf81ef9193f2946db78ea759ee", 5_969_674),
    ],
)
def test_published_keys_and_parameters(rows, inner, key, count):
    architecture = INCEPTION if rows is None else cell(rows, *inner)
    assert SPACE.canonical(architecture) == key
    with torch.device("meta"):
        assert parameters(SPACE.build(architecture, CIFAR10)) == count


@cache
def complete_graphs(vertices: int, edges: int) -> np.ndarray:
    """[G, V, V]: every graph in which each vertex is on a path from the first to the last, found among all bit masks.

    Edges lead upwards, so it is enough that every vertex but the first has one into it, and every one but the last one
    out of it.
    """
    pairs = list(itertools.combinations(range(vertices), 2))
    masks = np.arange(2 ** len(pairs), dtype=np.int64)
    edge = {pair: masks >> position & 1 for position, pair in enumerate(pairs)}
    legal = sum(edge.values()) <= edges
    for vertex in range(vertices):
        if vertex > 0:
            legal &= sum(edge[source, vertex] for source in range(vertex)) > 0
        if vertex < vertices - 1:
            legal &= sum(edge[vertex, target] for target in range(vertex + 1, vertices)) > 0
    graphs = np.zeros((legal.sum(), vertices, vertices), dtype=np.int64)
    for source, target in pairs:
        graphs[:, source, target] = edge[source, target][legal]
    return graphs


def classes(vertices: int, edges: int = 9) -> np.ndarray:
    """[G, 3 ** (V - 2)]: for each graph with each labelling of its inner vertices the number of its class of
    isomorphism: the least number that any order of the inner vertices gives it. No hash is involved."""
    graphs, inner = complete_graphs(vertices, edges), vertices - 2
    labellings = np.array(list(itertools.product(range(3), repeat=inner)), dtype=np.int64).reshape(3**inner, inner)
    powers = 3 ** np.arange(inner, dtype=np.int64)
    bits = 2 ** np.arange(vertices**2, dtype=np.int64)
    least = np.full((len(graphs), len(labellings)), np.iinfo(np.int64).max)
    for order in itertools.permutations(range(1, vertices - 1)):
        whole = [0, *order, vertices - 1]
        structure = graphs[:, whole][:, :, whole].reshape(len(graphs), -1) @ bits
        labels = labellings[:, [vertex - 1 for vertex in order]] @ powers
        np.minimum(least, structure[:, None] * len(labellings) + labels, out=least)
    return least


@pytest.mark.parametrize(("vertices", "written", "unique"), [(2, 1, 1), (3, 7, 7), (4, 97, 91), (5, 3364, 2532)])
@pytest.mark.slow
def test_the_key_is_the_class_of_isomorphism(vertices, written, unique):
    """Cells of EC-NAS: 91 of up to 4 vertices, 2,532 of up to 5. Two cells share a key if and only if they are one."""
    space = NASBench101(vertices=vertices)
    cells = [space.cell(architecture) for architecture in space.enumerate()]
    assert len(cells) == space.size == written
    assert len({space.canonical(architecture) for architecture in space.enumerate()}) == unique
    of_size = [(m, operations) for m, operations in cells if len(m) == vertices]
    keys = [cell_hash(m, [-1, *map(OPERATIONS.index, operations[1:-1]), -2]) for m, operations in of_size]
    number = dict(zip(map(bytes, complete_graphs(vertices, 9).astype(np.int8)), classes(vertices), strict=True))
    powers = 3 ** np.arange(vertices - 2)[::-1]
    true = [
        number[m.tobytes()][int(np.dot([OPERATIONS.index(name) for name in operations[1:-1]], powers))]
        for m, operations in of_size
    ]
    assert len(set(zip(keys, true, strict=True))) == len(set(keys)) == len(set(true))


@pytest.mark.slow
def test_there_are_423624_cells():
    per_size = [classes(vertices) for vertices in range(2, 8)]
    assert sum(numbers.size for numbers in per_size) == SPACE.size == 1_293_208
    assert sum(len(np.unique(numbers)) for numbers in per_size) == 423_624
    # and the keys agree with the classes, on cells of seven vertices among which many are the same
    graphs, numbers = complete_graphs(7, 9), per_size[-1]
    labellings = list(itertools.product(range(3), repeat=5))
    rng, pairs = numpy_generator("keys"), set()
    some = np.isin(numbers, rng.choice(np.unique(numbers), size=2000, replace=False))
    for graph, labelling in np.argwhere(some):
        pairs.add((cell_hash(graphs[graph], [-1, *labellings[labelling], -2]), numbers[graph, labelling]))
    assert some.sum() > 4000
    assert len(pairs) == len({key for key, _ in pairs}) == 2000


# --- the cell ----------------------------------------------------------------------------------------


def test_samples_are_what_the_benchmark_calls_valid():
    rng = numpy_generator("valid")
    sizes, edges = set(), set()
    for _ in range(2000):
        m, operations = SPACE.cell(SPACE.sample(rng))
        sizes.add(len(m))
        edges.add(int(m.sum()))
        assert m.sum() <= 9
        assert not np.tril(m).any()
        assert m[:, 1:].any(axis=0).all()
        assert m[:-1].any(axis=1).all()
        assert operations[0] == "input"
        assert operations[-1] == "output"
    assert sizes == set(range(2, 8))
    assert edges == set(range(1, 10))


def test_cells_round_trip():
    rng = numpy_generator("round trip")
    for _ in range(300):
        architecture = SPACE.sample(rng)
        assert SPACE.from_cell(*SPACE.cell(architecture)) == architecture


def test_what_leads_nowhere_is_pruned():
    # vertex 1 has no way out; vertex 2 none in, and with it vertex 4
    loose = cell("010100 000000 000010 000001 000001 000000", POOL, CONV1, CONV3, POOL)
    assert loose == cell("010 001 000", CONV3)


@pytest.mark.parametrize(
    ("rows", "inner", "sentence"),
    [
        ("010 000 000", (CONV3,), "no path"),
        ("010 001 100", (CONV3,), "square matrix"),
        ("110 001 000", (CONV3,), "square matrix"),
        ("020 001 000", (CONV3,), "square matrix"),
        ("010 001 000", (), "square matrix"),
        ("010 001", (CONV3,), "square matrix"),
        ("010 001 000", ("conv3x3",), "did you mean 'conv3x3-bn-relu'"),
        ("01111 00111 00011 00001 00000", (CONV3, CONV3, CONV3), "10 edges"),
        ("01000000 00100000 00010000 00001000 00000100 00000010 00000001 00000000", (POOL,) * 6, "8 vertices"),
    ],
)
def test_bad_cells(rows, inner, sentence):
    with pytest.raises(SpecError, match=sentence):
        cell(rows, *inner)


@pytest.mark.parametrize("value", [None, "010", [[0, 1], [0]], [[0, "x"], [0, 0]], [[0, np.nan], [0, 0]], 3])
def test_only_spec_error_comes_out_of_a_matrix(value):
    with pytest.raises(SpecError, match="square matrix"):
        SPACE.from_cell(value, ["input", "output"])
    with pytest.raises(SpecError, match="square matrix"):
        SPACE.from_cell([[0, 1], [0, 0]], None if isinstance(value, list) else value)


def test_few_edges_leave_few_vertices():
    assert NASBench101(edges=2).next_choice(()).options == (2, 3)
    with pytest.raises(SpecError, match="at most 10 vertices"):
        NASBench101(vertices=11)


def test_the_graph_is_the_cell():
    graph = SPACE.graph(INCEPTION)
    m, operations = SPACE.cell(INCEPTION)
    np.testing.assert_array_equal(nx.to_numpy_array(graph), m)
    assert [graph.nodes[node].get("op") for node in graph] == [None, *operations[1:-1], None]
    assert [graph.nodes[node]["role"] for node in graph] == ["input", *["node"] * 5, "output"]


# --- the network -------------------------------------------------------------------------------------


def test_the_output_s_channels_are_shared():
    """The example of the benchmark's source: the remainder goes to the first vertices, and upstream follows."""
    m = matrix("01100 00001 00011 00001 00000")
    assert vertex_channels(8, 16, m) == [8, 6, 5, 5, 16]
    assert vertex_channels(8, 16, matrix("0100 0010 0001 0000")) == [8, 16, 16, 16]
    assert vertex_channels(4, 9, matrix("01000 00110 00001 00001 00000")) == [4, 5, 5, 4, 9]
    assert vertex_channels(4, 9, matrix("01 00")) == [4, 9]


def test_the_cell_computes_what_the_paper_says():
    """Vertex 1 is pooled input, vertex 2 a pool of both; concatenated, and the input added, all with convolutions that
    copy their channels: numbers that can be read off."""
    space = NASBench101(channels=4, cells=1)
    architecture = space.from_cell(matrix("0111 0011 0001 0000"), ["input", POOL, POOL, "output"])
    first = space.build(architecture, CIFAR10).layers[1].eval()
    for module in first.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.dirac_(module.weight)
    x = torch.rand(1, 4, 6, 6)
    pooled = nn.functional.max_pool2d(x[:, :2], 3, 1, 1)
    second = nn.functional.max_pool2d(x[:, :2] + pooled, 3, 1, 1)
    expected = torch.cat([pooled, second], dim=1) + x
    torch.testing.assert_close(first(x), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 7, 5), (2, 9, 33)])
def test_any_image(shape):
    task = SimpleNamespace(input_shape=shape, classes=3)
    for architecture in (INCEPTION, cell("01 00"), cell("011 001 000", POOL)):
        network = NASBench101.laptop().build(architecture, task)
        assert network(torch.randn(2, *shape)).shape == (2, 3)


def test_what_cannot_be_built():
    with pytest.raises(SpecError, match="too small to be halved"):
        SPACE.build(INCEPTION, SimpleNamespace(input_shape=(1, 3, 3), classes=2))
    with pytest.raises(SpecError, match="channels=4 or more"):
        SPACE.build(INCEPTION, CIFAR10, channels=3)
