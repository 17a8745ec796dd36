"""A race as a still picture: every curve, every name, nothing on top of anything else."""

import math
from functools import cache
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

import naslab as nl
from naslab.analysis.curves import Band, summed_up
from naslab.errors import SpecError
from naslab_widgets import figures
from naslab_widgets.figures.race import title_of
from naslab_widgets.figures.race_picture import LABEL
from naslab_widgets.figures.themes import line_colours

TABLE = nl.benchmarks.NASBench201()
EVIL = "<script>alert(1)</script> random"


@cache
def raced():
    searchers = {EVIL: nl.searchers.RandomSearch, "local": nl.searchers.LocalSearch}
    return nl.runs.Race(searchers, TABLE, seeds=range(8), budget=120).run()


def elements(drawing, tag, **attributes):
    found = [element for element in ElementTree.fromstring(drawing).iter() if element.tag.endswith("}" + tag)]
    return [element for element in found if all(element.get(name) == value for name, value in attributes.items())]


def texts(drawing):
    return [element.text for element in elements(drawing, "text")]


def points(element):
    return np.array([[float(number) for number in point.split(",")] for point in element.get("points").split()])


@pytest.mark.parametrize("kind", ["best", "regret", "rank"])
@pytest.mark.parametrize("shade", ["quartiles", "interval"])
def test_a_line_and_a_band_each_in_the_colours_of_the_live_view(kind, shade):
    bands = raced().bands(kind)
    drawing = figures.race_picture(bands, kind=kind, shade=shade)
    lines, areas = elements(drawing, "polyline"), elements(drawing, "polygon")
    assert [line.get("stroke") for line in lines] == list(line_colours(list(bands)).values())
    for line, area, band in zip(lines, areas, bands.values(), strict=True):
        assert len(points(line)) == len(band.x)
        assert len(points(area)) == 2 * len(band.x)
    assert not elements(drawing, "script")
    assert title_of(kind) in texts(drawing)
    root = ElementTree.fromstring(drawing)
    assert root.get("role") == "img"
    assert "local" in root.get("aria-label")


def test_the_budget_is_logarithmic_regret_falls_and_the_best_rank_is_at_the_top():
    regret = raced().bands("regret")["local"]
    line = points(elements(figures.race_picture({"local": regret}, kind="regret"), "polyline")[0])
    shares = (line[:, 0] - line[0, 0]) / (line[-1, 0] - line[0, 0])
    np.testing.assert_allclose(shares, np.log(regret.x) / math.log(120), atol=1e-3)
    assert (regret.median == 0).any()
    positive = regret.median > 0
    slope = np.polyfit(np.log10(regret.median[positive]), line[positive, 1], 1)
    np.testing.assert_allclose(np.polyval(slope, np.log10(regret.median[positive])), line[positive, 1], atol=0.2)
    assert (line[~positive, 1] > line[positive, 1].max()).all(), "0 lies below all that is positive"
    assert "0" in texts(figures.race_picture({"local": regret}, kind="regret"))
    rank = points(elements(figures.race_picture({"local": raced().bands("rank")["local"]}, kind="rank"), "polyline")[0])
    assert rank[-1, 1] == rank[:, 1].min()


def test_names_stand_apart_and_inside_however_many_and_however_long():
    grid = np.arange(1.0, 30)
    bands = {
        f"a name that is far too long for a picture {number}": summed_up(grid, np.full((3, 29), 5.0))
        for number in range(40)
    }
    drawing = figures.race_picture({**bands, "late": Band(*[np.zeros(0)] * 8)})
    names = elements(drawing, "text", **{"class": "name"})
    heights = sorted(float(name.get("y")) for name in names)
    assert len(heights) == 41
    assert min(np.diff(heights)) >= LABEL - 1e-3
    height, width = (float(ElementTree.fromstring(drawing).get(side)) for side in ("height", "width"))
    assert 0 < heights[0] < heights[-1] < height
    assert all(float(name.get("x")) + 6.4 * len(name.text) <= width for name in names)
    assert len({name.text for name in names}) == 41, "what tells long names apart is kept"
    assert "late: nothing yet" in [name.text for name in names]


@pytest.mark.filterwarnings("ignore:.* failed")  # which is said
def test_nothing_yet_and_nothing_that_succeeded_are_said_without_axes():
    def fails(architecture):
        raise ValueError

    made = {EVIL: lambda seed: nl.searchers.RandomSearch(TABLE.space, seed=seed)}
    race = nl.runs.Race(made, fails, seeds=[0], budget=3)
    for why in ("nothing has been evaluated yet", "no evaluation has succeeded so far"):
        drawing = figures.race_picture(race.bands())
        assert why in " ".join(texts(drawing))
        assert not elements(drawing, "line")
        assert figures.race(race.bands()).layout.annotations[0].text == why
        race.run()


@pytest.mark.parametrize("kind", ["best", "regret", "rank"])
@pytest.mark.parametrize("values", [0.0, 1.0, -3.5, 2.42, 1e-9, 1e9])
@pytest.mark.parametrize("grid", [[1.0], [5.0, 5.5, 6.0], [0.0, 1.0, 2.0], [0.001, 1.0, 1e7], [0.0]])
def test_odd_numbers_are_drawn(kind, values, grid):
    band = summed_up(np.array(grid), np.full((1, len(grid)), values))
    drawing = figures.race_picture({"one": band}, kind=kind, x="seconds")
    assert "nan" not in drawing
    assert "inf" not in drawing
    (dot,) = elements(drawing, "circle")
    assert 0 < float(dot.get("cx")) < 900
    assert 0 < float(dot.get("cy")) < 360
    labels = [(float(e.get("x")), e.text) for e in elements(drawing, "text", **{"text-anchor": "middle"})[:-1]]
    for (before, text), (after, other) in pairwise(labels):
        assert after - before >= 3.2 * (len(text) + len(other)), "no mark on top of another"


def test_bad_input():
    with pytest.raises(SpecError, match="did you mean 'regret'"):
        figures.race_picture(raced().bands(), kind="regrets")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="did you mean 'interval'"):
        figures.race_picture(raced().bands(), shade="intervals")  # type: ignore[arg-type]
