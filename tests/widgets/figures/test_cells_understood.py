"""Pictures of loss surfaces, trainings, shapes of cells and motifs: what is in them, what is left blank."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

import naslab as nl
from naslab.analysis import GradientVariance, LossSurface, Watched, cell_shapes, rewirings
from naslab.analysis.motifs import compared
from naslab.errors import SpecError
from naslab.trainers.report import Epoch
from naslab_widgets import figures

EVIL = "<img src=x onerror=alert(1)>"


def bowl(height=1.0, rows=5):
    steps = np.linspace(-1, 1, 5)
    loss = 0.5 + height * (steps[None] ** 2 + steps[:, None] ** 2)
    loss[rows:] = np.nan
    return LossSurface(
        x=steps, y=steps, loss=loss, centre=0.5, rows=rows, batch_norm="batch", images=8, split="train", seed=0
    )


def trained(slope, seed=0):
    history = tuple(
        Epoch(
            epoch=e, learning_rate=0.1, train_loss=3 - slope * e, train_accuracy=0.5, test_loss=3.0, test_accuracy=0.4
        )
        for e in (1, 2, 3)
    )
    one = GradientVariance(variance=2.0 + seed, norm=1.0, loss=1.0, batches=2, batch_size=4, weights=9)
    return Watched(history=history, variances=(one,) * 4)


def test_surfaces_share_one_scale_and_blanks_stay_blank():
    wide, deep = bowl(), bowl(height=4.0)
    spoilt = deep.loss.copy()
    spoilt[0, 0] = np.inf
    figure = figures.loss_surface({"wide": wide, EVIL: replace(deep, loss=spoilt)})
    contours = [trace for trace in figure.data if trace.type == "contour"]
    reliefs = [trace for trace in figure.data if trace.type == "surface"]
    assert (len(contours), len(reliefs)) == (2, 2)
    assert {trace.coloraxis for trace in (*contours, *reliefs)} == {"coloraxis"}
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0.5, 3.5), "cut off 3 nats above"
    assert figure.layout.scene.zaxis.range == figure.layout.scene2.zaxis.range == pytest.approx((0.5, 3.56))
    np.testing.assert_allclose(np.array(contours[0].z, dtype=float), wide.loss)
    assert contours[1].z[0][0] == 3.5
    titles = [annotation.text for annotation in figure.layout.annotations]
    assert titles[0] == "wide"
    assert "1 of 25 losses are not finite" in titles[1]
    assert EVIL not in figure.to_json()
    assert "NaN" not in figure.to_json()
    assert figures.loss_surface({"a": wide, "b": deep}, ceiling=2.0).layout.coloraxis.cmax == 2


def test_a_surface_that_is_still_being_computed():
    figure = figures.loss_surface(bowl(rows=2))
    z = next(trace for trace in figure.data if trace.type == "contour").z
    assert all(value is None for row in z[2:] for value in row)
    assert all(value is not None for row in z[:2] for value in row)
    assert figure.layout.annotations[0].text == "2 of 5 rows are computed"
    figures.loss_surface(bowl(rows=0)).to_json()
    with pytest.raises(SpecError, match="nothing to draw"):
        figures.loss_surface({})


def test_trainings_have_three_charts_and_a_mean_each():
    figure = figures.convergence({"wide": [trained(0.5), trained(0.7, seed=2)], "one": [trained(0.1)]})
    thick = [trace for trace in figure.data if trace.line.width == 3]
    assert len(thick) == 6
    assert len(figure.data) == 3 * (2 + 1) + 3, "thin lines only where there is a mean"
    loss, variance, gap = (next(t for t in thick if t.name == "wide" and t.xaxis == x) for x in ("x", "x2", "x3"))
    np.testing.assert_allclose(loss.y, [2.4, 1.8, 1.2])
    np.testing.assert_allclose(variance.y, [3, 3, 3, 3])
    np.testing.assert_allclose(variance.x, [0, 1, 2, 3])
    np.testing.assert_allclose(gap.y, [0.6, 1.2, 1.8])
    assert [t.name for t in figure.data if t.showlegend] == ["wide", "one"]
    json.loads(figure.to_json())
    with pytest.raises(SpecError, match="nothing to draw"):
        figures.convergence({"wide": []})
    with pytest.raises(SpecError, match="an epoch at least"):
        figures.convergence({"wide": [replace(trained(1), history=())]})


def test_shapes_are_circles_by_how_many_there_are():
    space = nl.spaces.DartsCell.laptop()
    cell = space.sample(np.random.default_rng(0))
    many = [cell_shapes(space, other)["normal"] for other in rewirings(space, cell, 50)]
    one = cell_shapes(space, cell)["normal"]
    figure = figures.cell_shapes({EVIL: [one], "re-wired": many})
    circles, diamond = figure.data
    assert circles.name == "re-wired"
    assert sum(share for _, share in circles.customdata) == pytest.approx(100)
    assert set(zip(circles.x, circles.y, strict=True)) == {(shape.width, shape.depth) for shape in many}
    assert (diamond.x[0], diamond.y[0]) == (one.width, one.depth)
    assert diamond.marker.symbol == "diamond"
    assert EVIL not in figure.to_json()
    with pytest.raises(SpecError, match="nothing to draw"):
        figures.cell_shapes({})


def test_motifs_are_small_graphs_and_bars():
    space = nl.spaces.NASBench201()
    one = space.parse("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|")
    other = space.architecture(["avg_pool_3x3"] * 6)
    found = compared([one] * 4, [other] * 4 + [one], space)
    drawn = figures.motifs(found, most=6)
    root = ElementTree.fromstring(str(drawn))
    texts = [element.text or "" for element in root.iter() if element.tag.endswith("text")]
    assert texts[0] == "4 found architectures against 5 random ones of nasbench201"
    assert sum(text.startswith("corrected p") for text in texts) == 6
    triples = figures.motifs(found, "triple", most=1)
    root = ElementTree.fromstring(str(triples))
    assert sum(element.tag.endswith("circle") for element in root.iter()) == 3
    assert sum(element.tag.endswith("path") for element in root.iter()) in (2, 3)
    lacking = next(motif for motif in found.motifs if motif.ratio == 0)
    assert "avg_pool_3x3" in str(lacking.pattern)
    assert "No motif was seen." in figures.motifs(replace(found, motifs=()))
    with pytest.raises(SpecError, match="unknown kind of motif"):
        figures.motifs(found, "quadruple")
