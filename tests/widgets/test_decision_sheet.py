"""The sheet of a decision: what the page is told of it, and that asking changes nothing."""

import dataclasses
import json
import math

import pytest

import naslab as nl
from naslab_widgets import Lab
from naslab_widgets.decision_sheet import POINTS, DecisionSheet
from naslab_widgets.trials_view import TrialsView

SPACE = nl.spaces.NASBench201()


def many(architecture):
    return float(architecture.choices.count("nor_conv_3x3"))


def searching(budget=40, searcher=nl.searchers.NasRL, space=SPACE, **given):
    return nl.Search(searcher(space, seed=0, **given), estimator=many, budget=budget)


def opened(events, name):
    sheet = DecisionSheet(lambda: events)
    assert sheet.state() is None
    sheet.on_message({"do": "open", "name": name})
    json.dumps(sheet.state(), allow_nan=False)
    return sheet.state()


def test_probabilities_and_entropy_over_time():
    events = list(searching(units=4, children=2))
    told = opened(events, "cell/1/from_0")
    assert told["steps"] == list(range(1, 41))
    rows = [event.probabilities["cell/1/from_0"] for event in events]
    assert told["probabilities"] == [pytest.approx(list(row), abs=1e-4) for row in rows]
    entropy = [-sum(p * math.log(p) for p in row) for row in rows]
    assert told["entropy"] == pytest.approx(entropy, abs=1e-4)
    assert (told["uniform"], told["most"]) == (0.2, pytest.approx(math.log(5)))
    assert told["values"] is None, "a policy gradient learns no values"


def test_values_of_q_learning():
    space = nl.spaces.MetaQNN.laptop()
    searcher = nl.searchers.QLearning(space, models=30, replay=20, learning_rate=0.2, seed=0)
    events = list(nl.Search(searcher, estimator=lambda a: float("max_pool" in a.choices), budget=40))
    name = next(iter(events[0].probabilities))
    told = opened(events, name)
    last = events[-1].details[f"q/{name}"]
    assert told["values"][-1][: len(last)] == pytest.approx(list(last), abs=1e-4)
    assert len(told["values"]) == len(told["steps"]) == 40


def test_a_long_search_is_told_in_few_points_the_first_and_the_last_among_them():
    events = list(searching(5, units=4, children=2))
    steps = [dataclasses.replace(event, step=5 * turn + event.step) for turn in range(200) for event in events]
    told = opened(steps, "cell/1/from_0")
    assert (told["steps"][0], told["steps"][-1], len(told["steps"])) == (1, 1000, POINTS)


def test_what_there_is_not_is_refused_in_words():
    told = opened(list(searching(3, units=4, children=2)), "<b>nothing</b>")
    assert told["name"] == "<b>nothing</b>"
    assert "cell/1/from_0" in told["refused"]
    told = opened(list(searching(3, nl.searchers.RandomSearch)), "cell/1/from_0")
    assert "no decisions" in told["refused"]
    sheet = DecisionSheet(lambda: ())
    for message in ({"do": "open"}, {"do": "open", "name": 7}, {"name": "cell/1/from_0"}):
        sheet.on_message(message)
        assert sheet.state() is None


def test_the_view_tells_it_once_and_the_search_goes_on_as_it_would():
    search, sent = searching(units=4, children=2), []
    view = TrialsView(SPACE, poke=lambda: None, sections=[DecisionSheet(lambda: search.events)], hz=1e9)
    view.send = lambda message, buffers=None: sent.append(message)
    view._receive(None, {"type": "hello"}, [])
    for event in search:
        view.take(event)
        if event.step in (10, 20, 40):
            view._receive(None, {"type": "section", "section": "decision", "do": "open", "name": "cell/1/from_0"}, [])
        view.publish({"state": "running", "step": event.step, "total": 40})
        view._receive(None, {"type": "ack", "number": event.step}, [])
    told = [message["sections"]["decision"] for message in sent if message["sections"].get("decision")]
    assert [one["steps"][-1] for one in told] == [10, 20, 40]
    view._receive(None, {"type": "hello"}, [])
    view.publish({"state": "running", "step": 40, "total": 40})
    assert sent[-1]["sections"]["decision"] == told[-1], "a page that is loaded anew knows it, too"
    assert list(search.events) == list(searching(units=4, children=2))


def test_a_lab_of_a_policy_has_one():
    lab = Lab(searching(3, units=4, children=2))
    assert "decision" in lab.view.description["sections"]
    lab.run()
    lab.view._receive(None, {"type": "section", "section": "decision", "do": "open", "name": "cell/1/from_0"}, [])
    assert lab.view._sections.states()["decision"]["steps"] == [1, 2, 3]
    lab.stop()
