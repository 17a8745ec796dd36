"""A layout must be readable: nothing on top of anything else, and the same each time."""

import itertools
import math

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naslab as nl
from naslab.analysis.cell_shape import parts
from naslab_widgets.figures.cell import cell_layout, text_width
from naslab_widgets.figures.layout import LABEL_HEIGHT, RADIUS, layered, overlap


@st.composite
def dags(draw):
    """Any DAG of 2 to 7 nodes without isolated order: edges only from lower to higher numbers."""
    size = draw(st.integers(2, 7))
    pairs = list(itertools.combinations(range(size), 2))
    graph = nx.DiGraph()
    graph.add_nodes_from(range(size))
    graph.add_edges_from(draw(st.lists(st.sampled_from(pairs), unique=True)))
    return graph


@settings(deadline=None, max_examples=60)
@given(dags())
def test_nodes_stand_apart_and_inside(graph):
    layout = layered(graph)
    for first, second in itertools.combinations(layout.nodes.values(), 2):
        assert math.dist(first, second) >= 2 * RADIUS
    for x, y in layout.nodes.values():
        assert RADIUS <= x <= layout.width - RADIUS
        assert RADIUS <= y <= layout.height - RADIUS


@settings(deadline=None, max_examples=60)
@given(dags())
def test_edges_go_from_left_to_right_rim_to_rim(graph):
    layout = layered(graph)
    for (u, v), route in layout.routes.items():
        assert layout.nodes[u][0] < layout.nodes[v][0]
        assert math.dist(route.start, layout.nodes[u]) == pytest.approx(RADIUS)
        assert math.dist(route.end, layout.nodes[v]) == pytest.approx(RADIUS)


@pytest.mark.parametrize("nodes", [1, 2, 3, 4, 5])
def test_labels_of_a_full_cell_do_not_touch(tiny, nodes):
    part = parts(tiny.Space(nodes=nodes).supergraph())["normal"]
    layout, half = cell_layout(part, longest=12), text_width(12) / 2
    boxes = [
        (x - half, y - LABEL_HEIGHT / 2, x + half, y + LABEL_HEIGHT / 2)
        for edge, route in layout.routes.items()
        if "row" in part.edges[edge]
        for x, y in [route.label]
    ]
    assert len(boxes) == sum(range(2, nodes + 2))
    assert sum(overlap(one, other) for one, other in itertools.combinations(boxes, 2)) == 0


@pytest.mark.parametrize("nodes", [2, 3, 4])
def test_no_searched_edge_runs_through_a_node(tiny, nodes):
    part = parts(tiny.Space(nodes=nodes).supergraph())["normal"]
    layout = cell_layout(part, longest=12)
    for edge, route in layout.routes.items():
        for name, centre in layout.nodes.items():
            if name not in edge:
                assert min(math.dist(route.at(t / 50), centre) for t in range(51)) > RADIUS


def test_layout_does_not_depend_on_the_order_of_edges(tiny):
    graph = parts(tiny.Space().supergraph())["normal"]
    shuffled = nx.DiGraph()
    shuffled.add_nodes_from(graph.nodes(data=True))
    shuffled.add_edges_from(reversed(list(graph.edges(data=True))))
    assert cell_layout(graph, 12) == cell_layout(shuffled, 12)


def test_overlap_is_the_area_in_common():
    assert overlap((0, 0, 4, 4), (2, 3, 9, 9)) == 2
    assert overlap((0, 0, 4, 4), (4, 0, 8, 4)) == 0


@pytest.mark.parametrize("characters", [4, 12, 14])
def test_no_label_of_a_full_nasbench201_cell_lies_on_another_edge_or_touches_another(characters):
    """Edges 1-2 and 0-3 cross in the middle, where both would like to have their labels."""
    part = parts(nl.spaces.NASBench201().supergraph())["cell"]
    layout, half = cell_layout(part, longest=characters), text_width(characters) / 2
    assert len(layout.routes) == 6
    for one, other in itertools.combinations([route.label for route in layout.routes.values()], 2):
        assert abs(one[0] - other[0]) > 2 * half + 3 or abs(one[1] - other[1]) > LABEL_HEIGHT + 1.5
    for edge, other in itertools.permutations(layout.routes, 2):
        x, y = layout.routes[edge].label
        for step in range(101):
            px, py = layout.routes[other].at(step / 100)
            assert abs(px - x) > half or abs(py - y) > LABEL_HEIGHT / 2, (edge, other)
