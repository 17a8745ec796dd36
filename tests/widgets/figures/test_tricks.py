from xml.etree import ElementTree

import pytest

from naslab.analysis import Speedup
from naslab_widgets import figures
from naslab_widgets.figures.axis import ticks


def test_a_bar_for_each_trick_and_step_from_one_to_its_value():
    bought = [Speedup("stacked", 1.5, 2.0), Speedup("narrow_strips", 0.95, 1.0), Speedup("all", 3.0, 4.0)]
    root = ElementTree.fromstring(str(figures.optimizations(bought)))
    texts = [element.text for element in root.iter() if element.text]
    for text in ("stacked", "narrow strips", "all of them", "1.50", "4.00", "0.95"):
        assert text in texts
    bars = [element for element in root.iter() if element.tag.endswith("rect") and element.get("height") == "11"]
    widths = [float(bar.get("width")) for bar in bars]
    assert len(bars) == 6
    assert widths[1] == pytest.approx(2 * widths[0], rel=1e-3)
    assert widths[5] == pytest.approx(3 * widths[1], rel=1e-3)
    ends = [float(bar.get("x")) for bar in bars]
    assert ends[2] < ends[0] == pytest.approx(ends[1])  # faster without it: left of 1


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 4, [0, 1, 2, 3, 4]), (0.9, 1.3, [0.9, 1.0, 1.1, 1.2, 1.3]), (-7, 93, range(-50, 101, 50))],
)
def test_marks_are_round_and_reach_around(low, high, expected):
    first, last, marks = ticks(low, high)
    assert marks == pytest.approx(list(expected))
    assert (first, last) == pytest.approx((marks[0], marks[-1]))
    assert first <= low < high <= last + 1e-12
