from xml.etree import ElementTree

import numpy as np
import pytest

from naslab.events import Changed
from naslab_widgets.figures import alphas, losses
from naslab_widgets.figures.alphas import limits, thinned
from naslab_widgets.figures.palette import HUES, NAMED, colours


def polylines(drawing):
    return [e for e in ElementTree.fromstring(drawing).iter() if e.tag.endswith("polyline")]


def test_one_curve_for_each_edge_and_operation(tiny):
    space = tiny.Space(nodes=2)
    search = tiny.Search(space=space)
    events = [next(search) for _ in range(300)]
    drawing = alphas(events, space)
    curves = polylines(drawing)
    assert len(curves) == 2 * 5 * 8
    assert all(len(curve.get("points").split()) == 60 for curve in curves)
    assert "cₖ₋₂ → 0" in drawing
    assert "edge 4" in alphas(events)


def test_curves_rise_where_the_probability_does(tiny):
    space = tiny.Space(nodes=1, parts=("cell",))
    search = tiny.Search(space=space)
    events = [next(search) for _ in range(200)]
    curves = polylines(alphas(events, space))
    change = events[-1].probabilities["cell"] - events[0].probabilities["cell"]
    for curve, up in zip(curves, change.ravel(), strict=True):
        points = [float(pair.split(",")[1]) for pair in curve.get("points").split()]
        if abs(up) > 0.02:
            assert (points[-1] < points[0]) == (up > 0)  # y grows downwards


def test_no_step_yet_is_said():
    assert "No step" in alphas([])


def test_limits_never_zoom_into_nothing():
    assert limits(np.full((3, 2, 4), 0.25)) == pytest.approx((0.24, 0.26))
    assert limits(np.array([[[0.1, 0.9]]])) == pytest.approx((0.1, 0.9))


def test_thinned_keeps_both_ends():
    assert thinned(list(range(1000)), 7)[0] == 0
    assert thinned(list(range(1000)), 7)[-1] == 999
    assert len(thinned(list(range(1000)), 7)) == 7
    assert thinned([1, 2], 7) == [1, 2]


def test_losses_mark_where_a_knob_was_turned(tiny):
    search = tiny.Search()
    for _ in range(5):
        next(search)
    search.set("w_lr", 0.1)
    next(search)
    figure = losses(search.events)
    assert [trace.name for trace in figure.data] == ["train loss", "valid loss", "train accuracy", "valid accuracy"]
    assert list(figure.data[1].x) == [1, 2, 3, 4, 5, 6]
    assert figure.data[3].y[2] == search.events[2].valid_accuracy
    assert {line.x0 for line in figure.layout.shapes} == {6}
    assert isinstance(search.events[5], Changed)


def test_colours_are_stable_and_distinct(tiny):
    known = colours(tiny.Space().operations)
    assert len(set(known.values())) == 8
    assert known["sep_conv_3x3"] == colours(["sep_conv_3x3"])["sep_conv_3x3"] == NAMED["sep_conv_3x3"]
    mixed = colours(["mine", "skip_connect", "yours"])
    assert len(set(mixed.values())) == 3
    assert mixed["mine"] in HUES
