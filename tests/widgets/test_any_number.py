"""Fitness, losses and costs of any finite size are drawn, and only numbers that a browser knows reach the page."""

import json
import math
import re
import warnings
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import naslab as nl
import naslab_widgets
from naslab.card import card
from naslab_widgets import Compare, Lab, RaceView, figures
from naslab_widgets.figures.axis import powers, ticks, widened
from naslab_widgets.page import packed

STATIC = Path(naslab_widgets.__file__).parent / "static"
SYNFLOW = [2.8e43, 1.8e32, 2.9e61, 5e50, 3e40, 7e10]
VALUES = {
    "synflow": SYNFLOW,
    "the largest": [1e100, -1e100, 0.0, 1.0],
    "negative": [-1e61, -1e60, -3e61],
    "tiny": [1e-300, 3e-300, 2e-300],
    "subnormal": [5e-324, 1e-323, 0.0],
    "tiny and huge": [5e-324, 1e-10, 1.0, 1e100],
    "one": [1e61],
    "alike": [1e61] * 4,
    "all zero": [0.0] * 4,
    "neighbours": [1e61, math.nextafter(1e61, 2e61), 1e61],
}


@pytest.fixture(params=VALUES.values(), ids=list(VALUES))
def values(request):
    return request.param


def searched(values):
    told = iter(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        space = nl.spaces.NASBench201()
        search = nl.Search(nl.searchers.RandomSearch(space, seed=0), estimator=lambda a: next(told), budget=len(values))
        list(search)
    return search


def numbers_of(picture):
    """All coordinates of a drawing; each must be one."""
    root = ElementTree.fromstring(str(picture))
    text = " ".join(v for e in root.iter() for k, v in e.attrib.items() if k not in ("xmlns", "style", "font-family"))
    assert not re.search(r"\b(nan|inf)\b", text)
    return root


def catch(view):
    sent = []
    view.send = lambda content, buffers=(): sent.append((json.loads(json.dumps(content, allow_nan=False)), buffers))
    view._receive(view, {"type": "hello"}, [])
    return sent


def test_every_candidate_is_in_the_picture_and_on_the_page(values):
    search = searched(values)
    lab = Lab(search)
    root = numbers_of(lab.picture())
    dots = [each for each in root.iter() if each.tag.endswith("}circle") and each.get("r") == "2.4"]
    heights = [float(dot.get("cy")) for dot in dots]
    assert len(heights) == len(values)
    assert heights[int(np.argmax(values))] == min(heights), "the best is the highest"
    sent = catch(lab.view)
    lab._publish()
    (message, buffers), *_ = sent
    assert message["status"]["best"]["fitness"] == max(values)
    rows = np.frombuffer(buffers[0], "<f8").reshape(-1, message["tables"][0]["width"])
    assert sorted(rows[:, 2]) == sorted(values)
    assert not np.isinf(rows).any()


def test_zero_cost_scores_stand_on_an_axis_of_powers_of_ten():
    texts = [each.text for each in numbers_of(Lab(searched(SYNFLOW)).picture()).iter() if each.tag.endswith("}text")]
    assert "fitness, log" in texts
    assert "1e+53" in texts
    plain = [e.text for e in numbers_of(Lab(searched([93.1, 94.3, 12.0])).picture()).iter() if e.tag.endswith("}text")]
    assert "fitness" in plain


def test_a_race_and_a_comparison(values):
    space, told = nl.spaces.NASBench201(), iter(values)
    race = nl.Race(
        {"random": lambda seed: nl.searchers.RandomSearch(space, seed=seed)},
        lambda a: next(told),
        seeds=[0],
        budget=len(values),
    )
    view = RaceView(race)
    sent = catch(view.canvas)
    view.run()
    numbers_of(view.picture())
    view._publish()
    for _, (buffer,) in sent:
        assert not np.isinf(np.frombuffer(buffer, "<f8")).any()
    assert len(race.card._repr_html_()) < 3000
    for kind in ("best", "regret"):
        figures.race(race.bands(kind), log=kind == "regret").to_json()
    first, second = searched(values), searched(values)
    compare = Compare({"one": first, "two": second})
    sent = catch(compare.view)
    compare._publish()
    (_, buffers), *_ = sent
    rows = np.frombuffer(buffers[0], "<f8").reshape(-1, compare.view.tracks[0].width)
    assert np.nanmax(rows[:, -5]) == max(values)


def test_what_no_browser_knows_is_not_there():
    table = np.frombuffer(packed([[1.0, math.inf, -math.inf], [math.nan, 1e308, -1e308]]), "<f8")
    np.testing.assert_array_equal(table, [1.0, math.nan, math.nan, math.nan, 1e300, -1e300])


def test_a_loss_that_is_not_finite_leaves_a_gap(tiny):
    view = naslab_widgets.live.LiveView(tiny.Space() if hasattr(tiny, "Space") else nl.spaces.NASBench201(), poke=int)
    sent = catch(view)
    view.publish({"state": "running", "step": 1, "total": None, "rate": math.inf, "left": math.nan, "message": ""})
    assert sent[0][0]["status"]["rate"] is None


def test_cards_tell_large_and_small_numbers_shortly():
    found = card({"large": SYNFLOW, "random": [3e-9, 4e-9, 1e-9]}, what="score")
    assert "4.83e+60" in str(found)
    assert "2.67e-09" in str(found)
    assert max(map(len, str(found).splitlines())) < 160
    assert "94.37" in str(card({"a": [94.37, 94.37]}, what="x"))
    assert "0.00" in str(card({"a": [0.0, 0.0]}, what="x"))


ENDS = [(0, 0), (1e61, 1e61), (5e-324, 1e-323), (0, 5e-324), (-1e100, 1e100), (1e61, 1.0000000000000002e61), (0.1, 94)]


@pytest.mark.parametrize(("low", "high"), ENDS)
def test_an_axis_has_ends_and_marks(low, high):
    first, last, marks = ticks(low, high)
    assert first <= low <= high <= last
    assert first < last
    assert 2 <= len(marks) < 20
    assert all(map(math.isfinite, marks))
    least, most = widened(low, high, 0.05)
    assert least <= low <= high <= most
    assert least < most


def test_powers():
    assert powers(2e-5, 3e3) == [1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000]
    assert 4 < len(powers(5e-324, 1e100)) <= 9


def test_the_same_on_the_page(javascript):
    """The axes of the page's own scripts: they come to an end, and their marks are finite."""
    script = f"""
        const ends = {json.dumps(ENDS)};
        const found = ends.map(([low, high]) => {{
          const [least, most] = widened(low, high, 0.05);
          return {{ least, most, middle: middle([[low, high]]),
            ticks: roundTicks(least, most, 6), marks: roundMarks(low, high),
            ends: [endText(low, low, high), endText(high, low, high), number(low), number(high), digits(high, 5)] }};
        }});
        told({{ found, powers: powersOfTen(2e-5, 3e3), many: powersOfTen(1e-300, 1e100).length,
          told: [1e61, -2.5e43, 1234567, 15000000, 1.5e7 + 0.5, 1e-9, NaN, null, undefined, 0].map(number) }});
    """
    modules = {
        "axis.js": ["endText", "powersOfTen", "roundMarks", "roundTicks", "widened"],
        "numbers.js": ["digits", "number"],
        "series.js": ["middle"],
    }
    answer = javascript(script, modules)
    for (low, high), each in zip(ENDS, answer["found"], strict=True):
        assert each["least"] <= low <= high <= each["most"]
        assert each["least"] < each["most"]
        assert each["middle"][0] < each["middle"][1]
        for marks in (each["ticks"], each["marks"]):
            assert 1 <= len(marks) < 20
            assert None not in marks  # NaN and Infinity are null in JSON
        assert all(len(text) <= 10 for text in each["ends"][:4]), each["ends"]
    np.testing.assert_allclose(answer["powers"], powers(2e-5, 3e3))
    assert 4 < answer["many"] <= 9
    assert answer["told"] == ["1.00e+61", "-2.50e+43", "1234567", "15000000", "1.50e+7", "1.0e-9", "–", "–", "–", "0"]
