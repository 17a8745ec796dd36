from xml.etree import ElementTree

import numpy as np
import pytest
from plotly.graph_objects import Figure

import naslab as nl
from naslab_widgets import FigureExplorer
from naslab_widgets.display import still
from naslab_widgets.figures.sketch import sketch

EVIL = "<img src=x onerror=alert(1)>"


def shapes(drawing, tag):
    return [each for each in ElementTree.fromstring(drawing).iter() if each.tag.endswith("}" + tag)]


def test_points_stand_where_the_axes_say():
    figure = Figure()
    figure.add_scatter(x=[1, 10, 100, 0], y=[0, 5, 10, 3], mode="markers", marker={"color": "#112233"}, name="a")
    figure.update_xaxes(type="log", title="cost").update_yaxes(range=[0, 10])
    drawing = sketch(figure)
    dots = shapes(drawing, "circle")
    xs, ys = ([float(dot.get(key)) for dot in dots] for key in ("cx", "cy"))
    assert len(dots) == 3, "zero has no place on an axis of powers"
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2), "powers of ten are equally far"
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2], abs=0.2)
    assert ys[0] > ys[2], "upwards"
    assert {dot.get("fill") for dot in dots} == {"#112233"}
    assert {"a", "cost"} <= {text.text for text in shapes(drawing, "text")}
    figure.update_yaxes(range=[10, 0])
    turned = [float(dot.get("cy")) for dot in shapes(sketch(figure), "circle")]
    assert turned[0] < turned[2], "a rank is better above"


def test_lines_break_at_gaps_and_a_heat_map_has_its_squares():
    figure = Figure()
    figure.add_scatter(x=[1, 2, 3, 4, 5], y=[1, 2, None, 2, 1], mode="lines")
    figure.add_heatmap(x=[1, 2, 3], y=[1, 2], z=[[0, 1, np.nan], [2, 3, 4]])
    figure.add_bar(x=[1], y=[1])
    drawing = sketch(figure)
    assert len(shapes(drawing, "polyline")) == 2
    assert sum(path.get("d").count("M") for path in shapes(drawing, "path")) == 5
    assert "not drawn without Plotly: bar" in drawing


def test_names_and_colours_of_strangers_stay_what_they_are():
    figure = Figure()
    colour = 'red" onload="alert(1)'
    figure.add_scatter(x=[1, 2], y=[1, 2], mode="markers", name=EVIL)
    figure.data[0].update({"marker": {"color": ["red", "blue"]}, "text": [EVIL, colour]})
    figure.update_xaxes(title=EVIL)
    drawing = sketch(figure)
    assert "<img" not in drawing
    assert [dot.get("fill") for dot in shapes(drawing, "circle")] == ["red", "blue"]


def test_nothing_to_draw_is_no_error():
    for data in ([], [{"type": "scatter", "x": [], "y": []}], [{"type": "scatter", "x": [1], "y": [None]}]):
        assert shapes(sketch(Figure(data)), "circle") == []


def test_a_study_leaves_its_figure_and_its_cell_in_the_notebook():
    table = nl.benchmarks.NASBench201()
    figure = Figure()
    figure.add_scatter(x=[0, 1], y=[1, 0], mode="markers", customdata=[[3], [4]])
    study = FigureExplorer(figure, table)
    assert len(study._still()) == 3
    before = study._still_key()
    study.open(4)
    bundle = still(study._still(), repr(study))
    assert study._still_key() != before
    assert bundle["text/html"].count("<img") == 2
    assert "number 4" in bundle["text/html"]
