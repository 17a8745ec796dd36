"""The picture of rankings: what it draws is what the analysis says."""

import numpy as np
import pytest

from naslab.analysis.ranking import Ranking
from naslab.errors import SpecError
from naslab_widgets.figures import ranking

RNG = np.random.default_rng(0)
TRUTH = RNG.standard_normal(40)
SCORES = {"good": TRUTH + 0.3 * RNG.standard_normal(40), "poor": TRUTH + 3 * RNG.standard_normal(40), "bad": -TRUTH}


@pytest.mark.slow
def test_points_and_bars():
    figure = ranking(SCORES, TRUTH, labels=[f"cell {i}" for i in range(40)], published={"good": 0.7, "other": 0.1})
    points, diagonal, bars, ticks = figure.data
    best = int(np.argmax(TRUTH))
    assert points.y[best] == 1
    assert sorted(points.x) == list(range(1, 41))
    assert points.x[int(np.argmax(SCORES["good"]))] == 1
    assert points.text[best] == f"cell {best}"
    assert list(diagonal.x) == list(diagonal.y) == [1, 40]
    assert list(bars.y) == ["bad", "poor", "good"], "the best on top"
    for name, value, above, below in zip(bars.y, bars.x, bars.error_x.array, bars.error_x.arrayminus, strict=True):
        expected = Ranking.of(SCORES[name], TRUTH, resamples=300).spearman
        assert value == expected.value
        assert (value - below, value + above) == pytest.approx(expected[1:])
    assert (list(ticks.y), list(ticks.x)) == (["good"], [0.7])
    stated = Ranking.of(SCORES["good"], TRUTH, resamples=0)
    title = f"good: Kendall's tau {stated.kendall.value:.2f}, Spearman {stated.spearman.value:.2f}"
    assert figure.layout.annotations[0].text == title


def test_what_is_shown_may_be_chosen():
    figure = ranking(SCORES, TRUTH, shown="bad", resamples=20)
    assert len(figure.data) == 3, "nothing published, no ticks"
    assert figure.data[0].x[int(np.argmax(TRUTH))] == 40
    colours = dict(zip(figure.data[2].y, figure.data[2].marker.color, strict=True))
    assert colours["bad"] != colours["poor"] == colours["good"]


def test_equal_ranks_are_shared():
    figure = ranking({"tied": [2.0, 1.0, 2.0]}, [3.0, 2.0, 1.0], resamples=0)
    assert list(figure.data[0].x) == [1.5, 3, 1.5]


def test_nothing_to_draw():
    with pytest.raises(SpecError, match="nothing to draw"):
        ranking({}, TRUTH)
    with pytest.raises(SpecError, match="did you mean 'good'"):
        ranking(SCORES, TRUTH, shown="god")
    with pytest.raises(SpecError, match="are NaN"):
        ranking({"good": [np.nan] * 40}, TRUTH)
