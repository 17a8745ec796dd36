import itertools
from base64 import b64decode
from xml.etree import ElementTree

import networkx as nx
import numpy as np
import pytest

import naslab as nl
from naslab_widgets import draw
from naslab_widgets.figures import cell, mixture, to_dot
from naslab_widgets.figures.cell import pretty, strength

HOSTILE = [
    "<script>window.__pwned=1</script>",
    '"><img src=x onerror=alert(1)>',
    "</text></svg><svg onload=alert(1)>",
    "javascript:alert(1)",
    "]]>&amp;&lt;",
    "null\x00bell\x07￾",
    'a\\"b\nc',
    "\U0001f600 é",
]
TAGS = {"svg", "g", "rect", "path", "circle", "text", "polyline"}


def elements(drawing):
    return [element.tag.rpartition("}")[2] for element in ElementTree.fromstring(drawing).iter()]


def texts(drawing):
    return [element.text for element in ElementTree.fromstring(drawing).iter() if element.text]


def test_a_discovered_cell_names_each_operation_once_an_edge(tiny):
    space = tiny.Space()
    best = tiny.Search(space=space).event(50).best
    drawing = draw(best, space)
    assert drawing._repr_svg_() == drawing
    named = [text for text in texts(drawing) if text in space.operations]
    assert sorted(named) == sorted(str(choice).rpartition(":")[2] for choice in best.choices)
    assert {"normal cell", "reduce cell", "cₖ₋₂", "cₖ"} <= set(texts(drawing))


def test_mixture_marks_the_derived_edges_and_takes_their_share(tiny):
    space = tiny.Space(nodes=2)
    event = tiny.Search(space=space).event(200)
    kept = space.one_hot(event.best)
    graph = mixture(space, event.probabilities, kept)
    for u, _, data in graph.edges(data=True):
        if "row" in data:
            chosen = kept[graph.nodes[u]["part"]][data["row"]]
            weights = event.probabilities[graph.nodes[u]["part"]][data["row"]]
            assert data["kept"] == bool(chosen.any())
            number = chosen.argmax() if chosen.any() else weights.argmax()
            assert data["op"] == space.operations[number]
            assert data["strength"] == pytest.approx(strength(weights[number], len(weights)))
    assert sum(data.get("kept", False) for _, _, data in graph.edges(data=True)) == 8


def test_a_kept_edge_names_what_is_kept_though_none_is_stronger(tiny):
    space = tiny.Space(nodes=1, parts=("cell",))
    probabilities = np.full((2, 8), 0.05, np.float32)
    probabilities[:, 0], probabilities[:, 4] = 0.5, 0.2
    kept = space.one_hot(space.discretize({"cell": probabilities}))
    graph = mixture(space, {"cell": probabilities}, kept)
    assert [data["op"] for _, _, data in graph.edges(data=True) if "row" in data] == ["sep_conv_3x3"] * 2


def test_strength_is_nothing_at_an_even_share_and_one_for_all():
    assert strength(1 / 8, 8) == 0
    assert strength(0.05, 8) == 0
    assert strength(1.0, 8) == pytest.approx(1)
    assert strength(0.14, 8) == pytest.approx(np.sqrt(np.log(0.14 * 8) / np.log(8)))


@pytest.mark.parametrize("label", HOSTILE)
def test_labels_are_text_and_never_markup(label):
    graph = nx.DiGraph()
    graph.add_node("in", part=label, label=label, role="input")
    graph.add_node("out", part=label, label=label, role="output", op=label)
    graph.add_edge("in", "out", op=label)
    drawing = cell(graph)
    assert set(elements(drawing)) <= TAGS
    attributes = {name for element in ElementTree.fromstring(drawing).iter() for name in element.attrib}
    assert not {name for name in attributes if name.startswith("on") or "href" in name}
    assert to_dot(graph).count("\n") == 7


def test_dot_source_is_an_escaped_graph_of_the_same_edges(tiny):
    space = tiny.Space(nodes=2)
    graph = space.graph(tiny.Search(space=space).event(9).best)
    source = to_dot(graph)
    assert source.count(" -> ") == graph.number_of_edges()
    graph.nodes["normal/0"]["label"] = 'x"]; evil [label="y'
    assert r'label="x\"]; evil [label=\"y"' in to_dot(graph)


def test_dot_is_used_only_when_asked_for_and_there(tiny, monkeypatch):
    space = tiny.Space(nodes=2)
    graph = space.graph(tiny.Search(space=space).event(9).best)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.warns(UserWarning, match="not installed"):
        assert cell(graph, engine="dot") == cell(graph)
    with pytest.raises(ValueError, match="'layered' or 'dot'"):
        cell(graph, engine="neato")


@pytest.mark.parametrize(
    ("label", "shown"),
    [("c_{k-2}", "cₖ₋₂"), ("c_{k}", "cₖ"), ("h_{t-1}", "hₜ₋₁"), ("3", "3"), ("c_{<b>}", "c_{<b>}"), ("a_{", "a_{")],
)
def test_pretty_lowers_only_what_it_can(label, shown):
    assert pretty(label) == shown


def test_what_cannot_be_drawn_is_refused(tiny):
    space = tiny.Space(nodes=1)
    architecture = tiny.Search(space=space).event(1).best
    for given in ((space, architecture), (architecture, None), ("cell", space)):
        with pytest.raises(TypeError, match=r"as draw\(search.best, space\)"):
            draw(*given)


def test_save_writes_the_picture(tiny, tmp_path):
    space = tiny.Space(nodes=1)
    drawing = draw(tiny.Search(space=space).event(1).best, space)
    assert drawing.save(tmp_path / "cell.svg").read_text(encoding="utf-8") == drawing
    assert "SVG" in repr(drawing)


def test_a_cell_with_all_edges_is_drawn_without_those_that_are_none():
    space = nl.spaces.DartsCellAllEdges(nodes=2)
    best = space.architecture(["sep_conv_3x3", "none", "skip_connect", "none", "max_pool_3x3", *["none"] * 5])
    named = [text for text in texts(draw(best, space)) if text in space.operations]
    assert sorted(named) == ["max_pool_3x3", "sep_conv_3x3", "skip_connect"]


def test_as_html_a_picture_is_an_image_no_wider_than_the_page(tiny):
    space = tiny.Space(nodes=1)
    picture = draw(tiny.Search(space=space).event(1).best, space)
    image = ElementTree.fromstring(picture._repr_html_().replace(">", "/>"))
    assert (image.tag, image.get("alt")) == ("img", "a picture by naslab")
    kind, _, data = image.get("src").partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert b64decode(data).decode() == picture
    own = ElementTree.fromstring(picture).get("width")
    assert image.get("style") == f"width: 100%; max-width: {own}px; height: auto"


@pytest.mark.parametrize(
    "space",
    [nl.spaces.DartsCell(nodes=4), nl.benchmarks.NASBench201().space, nl.spaces.RecurrentCell(nodes=4, hidden=8)],
)
def test_a_node_stands_in_the_same_place_in_every_picture_of_a_space(space):
    def places(drawing):
        """(cell, label of the node) -> its place: each label stands right behind its circle."""
        found = {}
        for group in ElementTree.fromstring(drawing).findall("{*}g"):
            drawn = list(group.find("{*}g"))
            for circle, text in itertools.pairwise(drawn):
                if circle.tag.endswith("circle"):
                    found[group.findtext("{*}text"), text.text] = (circle.get("cx"), circle.get("cy"))
        return found

    whole = places(cell(space.supergraph()))
    assert len(whole) > 3
    for seed in range(4):
        found = places(draw(space.sample(seed), space))
        assert found
        assert found == {node: whole[node] for node in found}
