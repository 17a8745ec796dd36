from itertools import pairwise
from xml.etree import ElementTree

import pytest

import naslab as nl
from naslab.events import Changed
from naslab_widgets.figures import family_tree, trials


@pytest.fixture(scope="module")
def events(request):
    module = request.getfixturevalue("trials")
    return list(module.searching(budget=300))


def elements(drawing, tag, **attributes):
    found = [element for element in ElementTree.fromstring(drawing).iter() if element.tag.endswith("}" + tag)]
    return [element for element in found if all(element.get(name) == value for name, value in attributes.items())]


def test_each_trial_is_a_dot_a_failure_a_cross_and_each_hurdle_a_line(events):
    drawing = trials([*events, Changed(step=5, name="x", old=1.0, new=2.0)])
    done = [event for event in events if event.fitness is not None]
    dots = [dot for dot in elements(drawing, "circle") if dot.get("r") == "2.4"]
    assert len(dots) == len(done)
    assert len(elements(drawing, "path", **{"class": "failed"})) == len(events) - len(done) > 0
    assert len(elements(drawing, "polyline", **{"class": "hurdle"})) == len(events[-1].details["hurdles"]) == 2
    promoted = [event for event in done if event.candidate != event.number]
    assert len(elements(drawing, "line", **{"class": "promotion"})) == len(promoted) > 0
    stopped = 0
    standing = {event.number: before.details["hurdles"] for before, event in pairwise(events)}
    for event in done[1:]:
        stage = round(event.fidelity / 10) - 1
        went_on = any(e.candidate == event.candidate and e.step > event.step for e in events)
        hurdles = standing[event.number]
        stopped += not went_on and stage < len(hurdles) and event.fitness <= hurdles[stage]
    faint = [dot for dot in dots if float(dot.get("fill-opacity")) < 0.5]
    assert len(faint) == stopped > 10


def test_hurdles_rise(events):
    first = elements(trials(events), "polyline", **{"class": "hurdle"})[0]
    heights = [float(point.split(",")[1]) for point in first.get("points").split()]
    assert heights[-1] < heights[0]  # y grows downwards
    assert sorted(heights, reverse=True) == heights


def test_with_a_table_it_is_the_regret_that_falls(events):
    drawing = trials(events, nl.benchmarks.NASBench201("cifar10"))
    assert "regret" in drawing
    assert not elements(drawing, "polyline", **{"class": "hurdle"})
    best = next(path for path in elements(drawing, "path") if path.get("class") is None)
    assert "V" in best.get("d")


def test_the_tree_has_a_line_for_every_child_and_the_best_ones_descent_in_bold(events):
    drawing = family_tree(events)
    bold = elements(drawing, "line", **{"stroke-width": "2.4"})
    thin = elements(drawing, "line", **{"stroke-width": "0.8"})
    by_number = {event.number: event for event in events}
    line = max((e for e in events if e.fitness is not None), key=lambda e: (e.fitness, -e.step))
    length = 0
    while line.parents or line.begins_from:
        # a training that goes on comes from the one before, which is not always the first
        earlier = [e for e in events if e.candidate == line.candidate and e.step < line.step]
        line, length = earlier[-1] if earlier else by_number[line.parents[0]], length + 1
    assert len(bold) == length > 3
    assert len(thin) == sum(bool(event.parents) or event.begins_from is not None for event in events)


def test_long_searches_stay_small_and_hostile_names_stay_text(evaluated):
    evil = "<script>alert(1)</script>"
    many = [evaluated(step, step % 97, number=step, origin=evil) for step in range(1, 6_001)]
    for drawing in (trials(many), family_tree(many)):
        assert len(drawing) < 300_000
        assert not elements(drawing, "script")
    assert evil in [element.text for element in elements(trials(many), "text")]


def test_nothing_yet_is_said(evaluated):
    assert "No candidate has been evaluated yet" in trials([])
    assert "No candidate has been evaluated yet" in family_tree([])
    assert elements(trials([evaluated(1, None), evaluated(2)]), "path", **{"class": "failed"})


def test_a_search_in_which_all_failed_has_words_and_no_axis(evaluated):
    failed = [evaluated(step, None, message=f"ValueError: <b>{step}</b>\n  at x") for step in range(1, 9)]
    for drawing in (trials(failed), trials(failed, nl.benchmarks.NASBench201("cifar10"))):
        said = " ".join(element.text for element in elements(drawing, "text"))
        assert said == "All 8 candidates failed; the last: ValueError: <b>8</b> at x"
        assert not elements(drawing, "line")
    assert "The one candidate failed: ValueError" in trials(failed[:1])
    long = trials([evaluated(1, None, message="word " * 500)])
    assert len(elements(long, "text")) < 5
