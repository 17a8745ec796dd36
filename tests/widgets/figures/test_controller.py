from xml.etree import ElementTree

import numpy as np
import pytest

import naslab as nl
from naslab.analysis.decisions import option_names, probabilities_over_time
from naslab.errors import SpecError
from naslab_widgets import figures
from naslab_widgets.figures.controller import COLUMNS, _colour, strength


def events_of(searcher, score, count):
    search = nl.Search(searcher, estimator=score, budget=count)
    return [next(search) for _ in range(count)]


def elements(drawing, tag, **wanted):
    found = [each for each in ElementTree.fromstring(drawing).iter() if each.tag.endswith(f"}}{tag}")]
    return [each for each in found if all(each.get(name.rstrip("_")) == value for name, value in wanted.items())]


def texts(drawing):
    return [each.text for each in elements(drawing, "text")]


@pytest.fixture(scope="module")
def learnt():
    space = nl.spaces.NASBench201()
    searcher = nl.searchers.NasRL(space, units=4, children=2, seed=0)
    return space, events_of(searcher, lambda a: float(a.choices.count("nor_conv_3x3")), 30)


@pytest.fixture(scope="module")
def valued():
    space = nl.spaces.MetaQNN.laptop()
    searcher = nl.searchers.QLearning(space, models=30, replay=20, learning_rate=0.2)
    return space, events_of(searcher, lambda a: float("max_pool" in a.choices), 40)


def test_reward_baseline_entropy_and_every_probability(learnt):
    space, events = learnt
    drawing = figures.controller(events, space)
    assert {"reward", "baseline", "entropy", "cell/1/from_0 = nor_conv_3x3"} <= set(texts(drawing))
    assert "cell/1/from_0 = option 3" in texts(figures.controller(events))
    dots = [float(dot.get("cy")) for dot in elements(drawing, "circle")]
    fitness = [event.fitness for event in events]
    assert len(dots) == 30
    assert np.corrcoef(dots, fitness)[0, 1] == pytest.approx(-1), "y grows downwards"
    (baseline,), (entropy,) = (elements(drawing, "polyline", class_=name) for name in ("baseline", "entropy"))
    assert len(baseline.get("points").split()) == 29, "there is none before the first step of the controller"
    assert len(entropy.get("points").split()) == 30
    last = {name: row[-1] for name, row in probabilities_over_time(events).items()}
    right = max(float(cell.get("x")) + float(cell.get("width")) for cell in elements(drawing, "rect", class_="p"))
    ends = [
        cell.get("fill")
        for cell in elements(drawing, "rect", class_="p")
        if float(cell.get("x")) + float(cell.get("width")) == pytest.approx(right, abs=0.1)
    ]
    assert ends == [_colour(round(float(p) * 40) / 40) for row in last.values() for p in strength(row, len(row))]


def test_a_long_search_stays_small(learnt):
    space, events = learnt
    assert len(figures.controller(events * 100, space)) < 1_000_000
    cells = elements(figures.controller(events * 100, space), "rect", class_="p")
    assert len(cells) <= 30 * COLUMNS


def test_a_collapse_is_marked():
    space = nl.spaces.NASBenchMacro()
    searcher = nl.searchers.NasRL(space, policy="independent", children=2, learning_rate=1.0, seed=1)
    events = events_of(searcher, lambda a: float(a.choices.count("identity")), 120)
    first = next(event.step for event in events if event.details["collapsed"])
    assert f"always the same, from {first}" in texts(figures.controller(events))
    assert elements(figures.controller(events), "line", class_="collapsed")
    assert not elements(figures.controller(events[: first - 1]), "line", class_="collapsed")


def test_values_along_the_best_chain(valued):
    space, events = valued
    drawing = figures.q_values(events, space)
    values = {name[2:]: row for name, row in events[-1].details.items() if name.startswith("q/")}
    assert [text for text in texts(drawing) if text in values] == list(values)
    boxes = elements(drawing, "rect", class_="q")
    assert len(boxes) == sum(map(len, values.values()))
    framed = iter(boxes)
    for row in values.values():
        frames = [next(framed).get("stroke") is not None for _ in row]
        assert frames.index(True) == np.argmax(row)
        assert sum(frames) == 1
    prices = [f"{value:.3g}" for row in values.values() for value in row]
    assert [text for text in texts(drawing) if text in prices][: len(values["chain/1/kind"])]
    assert "conv" in texts(drawing)


def test_a_path_that_changes_leaves_gaps(valued):
    _, events = valued
    history = probabilities_over_time(events)
    assert set(history) == {name for event in events for name in event.probabilities}
    for place, event in enumerate(events):
        for name, array in history.items():
            known = event.probabilities.get(name, np.array([]))
            np.testing.assert_allclose(array[place, : len(known)], known)
            assert np.isnan(array[place, len(known) :]).all()
    assert any(np.isnan(array).any() for array in history.values())
    assert {"reward", "epsilon"} <= set(told := texts(figures.controller(events)))
    assert "baseline" not in told, "Q-learning has none"


def test_options_by_name(valued):
    space, events = valued
    assert option_names(events, space)["chain/1/kernel"] == (1, 3, 5)
    assert option_names(events) == {}
    options = option_names(events, space)  # the path that is thought best need never have been tried
    assert {name for event in events for name in event.probabilities} <= set(options)


def test_nothing_yet_and_nothing_of_the_kind(learnt):
    with pytest.raises(SpecError, match="nothing to draw"):
        figures.controller([])
    with pytest.raises(SpecError, match="QLearning"):
        figures.q_values(learnt[1])


def test_a_decision_is_drawn_against_its_own_uniform():
    for options in (2, 3, 6, 20):
        assert strength(np.array([0, 1 / options, 1]), options) == pytest.approx([0, 0.5, 1])
    assert strength(np.array([1.0]), 1) == 1
    rising = strength(np.linspace(0, 1, 50), 6)
    assert (np.diff(rising) > 0).all()
    assert np.isnan(strength(np.array([np.nan]), 4)).all(), "where the path did not lead stays blank"
