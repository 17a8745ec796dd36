"""Widths and depths against the published ones, counted by hand, and by an independent computation."""

import itertools

import networkx as nx
import numpy as np
import pytest

import naslab as nl
from naslab.analysis.cell_shape import cell_shape, cell_shapes, connections, genotype_graph, genotype_shapes
from naslab.errors import SpecError
from naslab.networks.genotype import DARTS_V1, DARTS_V2, Genotype


def published(sources, concat):
    """A genotype with these inputs, twice a node; the operations do not matter."""
    edges = tuple(("sep_conv_3x3", source) for source in sources)
    return Genotype(edges, concat, edges, concat)


PUBLISHED = {  # inputs of the normal cells as in the authors' genotypes.py; widths and depths of their Figure 1
    "NASNet": (published((1, 0, 0, 0, 1, 0, 0, 0, 1, 1), (2, 3, 4, 5, 6)), 5.0, 2),
    "AmoebaNet": (published((0, 1, 0, 2, 0, 3, 1, 1, 0, 1), (4, 5, 6)), 4.0, 4),
    "ENAS": (published((1, 1, 1, 0, 0, 1, 0, 1, 1, 0), (2, 3, 4, 5, 6)), 5.0, 2),
    "DARTS": (DARTS_V2, 3.5, 3),
    "SNAS": (published((0, 1, 0, 1, 0, 1, 0, 1), (2, 3, 4, 5)), 4.0, 2),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_cells(name):
    genotype, width, depth = PUBLISHED[name]
    shape = genotype_shapes(genotype)["normal"]
    assert (shape.width, shape.depth) == (width, depth)
    assert str(shape) == f"{width:g}c wide, {depth} deep"


def test_a_space_and_a_genotype_agree():
    space = nl.spaces.DartsCell()
    for genotype in (DARTS_V1, DARTS_V2):
        assert cell_shapes(space, space.from_genotype(genotype)) == genotype_shapes(genotype)
    assert genotype_shapes(DARTS_V1)["reduce"][:2] == (2.5, 3), "nodes 2 and 3 of the reduction cell read node 0"


def test_against_all_paths_of_random_cells():
    rng = np.random.default_rng(0)
    for space in (nl.spaces.DartsCell(), nl.spaces.NASNetCell.laptop(), nl.spaces.NASBench101()):
        for _ in range(20):
            graph = space.graph(architecture := space.sample(rng))
            for part, shape in cell_shapes(space, architecture).items():
                inside = graph.subgraph([node for node in graph if graph.nodes[node]["part"] == part])
                ends = {
                    role: [n for n in inside if inside.nodes[n]["role"] == role] for role in ("input", "node", "output")
                }
                paths = [
                    path
                    for start, end in itertools.product(ends["input"], ends["output"])
                    for path in nx.all_simple_paths(inside, start, end)
                ]
                assert shape.depth == max(len(path) - 1 for path in paths)
                parts = [[inside.nodes[s]["role"] == "input" for s in inside.predecessors(n)] for n in ends["node"]]
                assert shape.width == pytest.approx(sum(np.mean(part) for part in parts))
                assert shape.nodes == len(ends["node"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|", (1.5, 3)),
        ("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_3x3~2|", (1.0, 3)),
        ("|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|nor_conv_3x3~1|nor_conv_3x3~2|", (2.0, 2)),
        ("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|", (0.0, 1)),  # nodes lead nowhere
        ("|none~0|+|none~0|nor_conv_3x3~1|+|none~0|nor_conv_3x3~1|nor_conv_3x3~2|", (0.0, 0)),  # nothing is fed
    ],
)
def test_none_is_no_connection(text, expected):
    space = nl.spaces.NASBench201()
    assert cell_shapes(space, space.parse(text))["cell"][:2] == expected


def test_what_leads_nowhere_is_left_out():
    space = nl.spaces.NASBench201()
    cell = space.parse("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|")
    assert connections(space.graph(cell)) == {"cell/0": [], "cell/3": ["cell/0"]}


def test_every_space_of_graphs_has_a_shape():
    rng = np.random.default_rng(0)
    for make in nl.spaces.SPACES.values():
        space = make()
        for shape in cell_shapes(space, space.sample(rng)).values():
            assert 0 <= shape.width <= shape.nodes
            assert shape.depth <= shape.nodes + 1


def test_bad_graphs():
    with pytest.raises(SpecError, match="roles 'input' and 'output'"):
        cell_shape(nx.DiGraph([(0, 1)]))
    graph = genotype_graph(DARTS_V2, "normal").copy()
    graph.add_edge(5, 2)
    with pytest.raises(SpecError, match="no cycles"):
        cell_shape(graph)
