"""What an idle panel says before the run, and that it goes when the search does."""

import itertools
import threading
from functools import partial

import pytest

import naslab as nl
from naslab_widgets import Lab
from naslab_widgets.before import Before

SPACE = nl.spaces.NASBench201(channels=2, cells=1)


@pytest.fixture(scope="module")
def digits():
    return nl.tasks.Digits()


@pytest.fixture(scope="module")
def table():
    return nl.benchmarks.NASBench201()


def darts(digits):
    return nl.Search(nl.searchers.Darts(SPACE, digits, batch_size=64, epochs=1, seed=0))


def said(lab, **message):
    """Do something on the page, and wait for what comes of it."""
    lab.deck._receive(lab.deck, {"type": "section", "section": "before", **message}, [])
    lab.join()
    return lab.deck.sections["before"].state()


@pytest.mark.slow
def test_an_idle_panel_says_how_long_and_a_click_takes_a_rate(digits):
    search, alone = darts(digits), darts(digits)
    search.finding_rates = partial(search.finding_rates, steps=11)  # few, for the test's sake
    lab = Lab(search)
    section = lab.deck.sections["before"]
    assert section.state()["findable"] == ["w_lr", "alpha_lr"]
    told = said(lab, do="look")
    assert told["line"].startswith("11 steps, about ")
    assert " of " in told["line"], "memory of what is free"
    first = told["line"]
    assert said(lab, do="look")["line"] is first, "once a panel"
    assert lab.state == "idle"

    told = said(lab, do="rates")
    assert [one["name"] for one in told["rates"]] == ["w_lr", "alpha_lr"]
    weights = told["rates"][0]
    assert weights["ended"] in ("tried", "exploded", "diverged")
    assert len(weights["points"]) == 11 or weights["ended"] != "tried"
    rate, loss, mean = weights["points"][2]
    assert rate == pytest.approx(1e-4)
    assert weights["low"] <= min(loss, mean)
    assert told["busy"] == told["trouble"] == ""

    said(lab, do="take", name="w_lr", rate=0.125)
    assert lab.search.settings["w_lr"].value == 0.125
    assert section.state()["rates"][0]["now"] == 0.125
    said(lab, do="take", name="w_lr", rate=1e9)
    assert lab.search.settings["w_lr"].value == 1.0, "the end of the setting"
    for wrong in ({"name": "batch_size", "rate": 3.0}, {"name": None, "rate": 1.0}, {"name": "w_lr", "rate": "x"}):
        said(lab, do="take", **wrong)
    assert lab.search.settings["w_lr"].value == 1.0
    said(lab, do="take", name="w_lr", rate=0.025)

    lab.step(2)
    lab.wait(60)
    assert section.state() == {"shown": False}
    said(lab, do="rates")
    assert [event for event in lab.search.events if event.kind == "supernet_step"] == [next(alone), next(alone)]


def test_who_plays_does_not_wait_for_what_is_tried(digits):
    lab = Lab(darts(digits))
    section = lab.deck.sections["before"]
    begun, tried = threading.Event(), []
    real = lab.search.finding_rates

    def slowly(name):
        for found in real(name):
            tried.append(name)
            yield found
            begun.set()
            while lab.state == "idle":  # as long as nobody plays
                pass

    lab.search.finding_rates = slowly
    section.on_message({"do": "rates"})
    assert section.state()["busy"] == "rates"
    begun.wait(60)
    lab.step(1)
    lab.wait(60)
    assert lab.search.step == 1
    assert len(tried) <= 2
    assert section.state() == {"shown": False}


def test_it_can_be_stopped_and_trouble_is_told(digits, table):
    lab = Lab(darts(digits))
    section = lab.deck.sections["before"]
    begun, first = threading.Event(), next(lab.search.finding_rates())
    lab.search.finding_rates = lambda name: (begun.set() or one for one in itertools.repeat(first))
    section.on_message({"do": "rates"})
    begun.wait(60)
    section.on_message({"do": "stop"})
    lab.join()
    assert lab.state == "idle"
    assert section.state()["busy"] == ""

    def strange(**given):
        raise ZeroDivisionError("of somebody's own")

    lab.search.forecast = strange
    assert said(lab, do="look")["trouble"] == "ZeroDivisionError: of somebody's own"
    assert lab.state == "idle", "the search itself can be tried"


def test_trials_say_how_long_where_a_table_answers_and_ask_before_a_candidate_is_trained(digits, table):
    quick = Lab(nl.Search(nl.searchers.RandomSearch(table.space), estimator=table, budget=30))
    assert said(quick, do="look")["line"].endswith("a table answers")
    assert quick.deck.sections["before"].state()["findable"] == []

    calls = []
    own = nl.Search(nl.searchers.RandomSearch(table.space), estimator=lambda one: calls.append(one) or 0.5, budget=30)
    lab = Lab(own)
    told = said(lab, do="look")
    assert (told["quick"], told["line"], calls) == (False, "", [])
    assert "call=True" in said(lab, do="forecast")["trouble"]
    assert said(lab, do="call")["line"].startswith("30 evaluations, about ")
    assert len(calls) == 1


def test_a_search_that_can_foretell_nothing_has_no_section_to_show():
    class Other:
        state, search = "idle", object()

    assert Before(Other(), lambda job: job(), lambda: None).state() == {"shown": False}
