"""A child lit inside the supernet: what is lit is what the child has, each thing once, and nothing covers a name."""

import re
from xml.etree import ElementTree

import networkx as nx
import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.randomness import numpy_generator
from naslab_widgets import figures
from naslab_widgets.figures.supernet import Cells, Rows, SupernetPicture, short

MACRO, MICRO = nl.spaces.EnasMacro(), nl.spaces.EnasMicro()
SPACES = {
    "macro": MACRO,
    "micro": MICRO,
    "micro laptop": nl.spaces.EnasMicro.laptop(),
    "darts": nl.spaces.DartsCell(),
    "darts all edges": nl.spaces.DartsCellAllEdges(nodes=3),
    "nasbench201": nl.spaces.NASBench201(),
}
each_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())


def child_of(space, seed=0):
    return space.sample(numpy_generator(seed, "lit"))


def lit(space, child):
    return SupernetPicture(space).lit(child)


def paths(element):
    return [each for each in element.iter() if each.tag.endswith("path")]


def texts(element):
    return [each.text for each in element.iter() if each.tag.endswith("text")]


@each_space
def test_the_drawing_is_xml_and_the_child_lies_over_all_of_it(space):
    faint = ElementTree.fromstring(str(figures.supernet(space)))
    drawn = ElementTree.fromstring(str(figures.supernet(space, child_of(space))))
    places = {each.get("d") for each in paths(faint)}
    group = drawn.find(".//*[@class='naslab-lit']")
    assert group is not None
    assert faint.find(".//*[@class='naslab-lit']") is None
    assert paths(group)
    assert {each.get("d") for each in paths(group)} <= places


@each_space
@pytest.mark.parametrize("seed", range(3))
def test_what_is_lit_is_what_the_child_has(space, seed):
    child = child_of(space, seed)
    graph = space.graph(child)
    at_edges = [str(op).split(" + ") for *_, op in graph.edges(data="op") if op]
    at_nodes = [[op] for _, op in graph.nodes(data="op") if op]
    expected = sorted(op for ops in at_edges + at_nodes for op in set(ops))
    group = lit(space, child)
    assert sorted(each.get("data-op") for each in paths(group) if each.get("data-op")) == expected
    without = [each for each in paths(group) if not each.get("data-op")]
    plain = [edge for edge in graph.edges if not graph.edges[edge].get("op")]
    chain = len(graph) - 1 if at_nodes else 0  # from one layer to the next it leads through an operation
    assert len(without) == len(plain) - chain


def test_a_network_is_a_row_and_a_cell_is_not():
    assert isinstance(SupernetPicture(MACRO)._form, Rows)
    assert isinstance(SupernetPicture(MICRO)._form, Cells)


def test_each_layer_lights_the_candidate_in_the_row_of_its_operation():
    """By position alone, without colours: y of the dot is y of the name."""
    child = child_of(MACRO)
    drawn = ElementTree.fromstring(str(figures.supernet(MACRO)))
    rows = {t.text: float(t.get("y")) for t in drawn.iter() if t.tag.endswith("text") and "_" in t.text}
    assert list(rows) == list(MACRO.fixed_choices[0].options)
    dots = [each for each in lit(MACRO, child).iter() if each.tag == "circle" and each.get("r") == "6"]
    layers = MACRO.layers_of(child)
    assert len(dots) == len(layers)
    across = [float(dot.get("cx")) for dot in dots]
    assert across == sorted(across)
    for dot, (operation, _) in zip(dots, layers, strict=True):
        assert float(dot.get("cy")) == pytest.approx(rows[operation], abs=4)


def test_two_operations_from_one_state_are_both_named():
    numbers = MICRO.parse("0 2 0 0  0 4 0 1  0 4 1 1  1 0 0 1  0 2 1 1 1 0 1 0  0 3 0 2  1 1 3 1  1 0 0 4  0 3 1 1")
    group = lit(MICRO, numbers)
    names = texts(group)
    assert {"avg 3x3", "sep 3x3", "skip", "sep 5x5", "max 3x3"} <= set(names)
    assert names.count("2 × sep 3x3") == 1  # the first node of the reduction cell
    dashed = [each for each in paths(group) if each.get("stroke-dasharray")]
    assert len(dashed) == 3  # normal 0 and 1, reduction 1: the second operation over the first


def boxes(group):
    """left, top, right, bottom of the labels of each cell."""
    for cell in group:
        yield [
            (x, y, x + float(each.get("width")), y + float(each.get("height")))
            for each in cell
            if each.tag == "rect"
            for x, y in [(float(each.get("x")), float(each.get("y")))]
        ]


@pytest.mark.parametrize("seed", range(12))
def test_names_hardly_cover_each_other(seed):
    for labels in boxes(lit(MICRO, child_of(MICRO, seed))):
        for number, one in enumerate(labels):
            assert one[0] >= 0
            assert one[2] <= 530
            for other in labels[:number]:
                across = min(one[2], other[2]) - max(one[0], other[0])
                down = min(one[3], other[3]) - max(one[1], other[1])
                covered = max(0, across) * max(0, down)
                assert covered < 0.35 * 15 * (one[2] - one[0])


def test_short_names():
    assert [short(name) for name in ("sep_conv_3x3", "max_pool_3x3", "skip_connect", "nor_conv_1x1", "conv_5x5")] == [
        "sep 3x3",
        "max 3x3",
        "skip",
        "nor 1x1",
        "conv 5x5",
    ]


def test_a_chain_with_candidates_on_its_edges_is_a_row_too():
    class Chained:
        name = "chained"
        fixed_choices = None

        def supergraph(self):
            graph = self.graph(None)
            nx.set_edge_attributes(graph, ("wide", "<deep>"), "ops")
            return graph

        def graph(self, architecture):
            graph = nx.DiGraph()
            for state in range(4):
                graph.add_node(f"chain/{state}", part="chain", label=str(state), role="node")
                if state:
                    graph.add_edge(f"chain/{state - 1}", f"chain/{state}", op="<deep>")
            return graph

    group = lit(Chained(), None)
    assert [each.get("data-op") for each in paths(group)] == ["<deep>"] * 3
    assert "&lt;deep&gt;" in str(figures.supernet(Chained()))


def test_a_space_without_a_supergraph_is_refused():
    with pytest.raises(SpecError, match=r"'chain' has no supergraph .* figures\.cell"):
        figures.supernet(nl.spaces.MetaQNN())


def test_no_colour_but_those_that_the_dark_theme_knows():
    """The page puts the dark one of each pair in their place, and its own ink and paper."""
    known = {pair[0] for pair in figures.palette.HUES} | {"#24292f", "#8b949e", "#ffffff", "#eef1f4", "#dce3ea"}
    for space in SPACES.values():
        drawn = str(figures.supernet(space, child_of(space)))
        assert set(re.findall(r"#[0-9a-f]{6}", drawn)) <= known | {figures.palette.GREY[0]}
