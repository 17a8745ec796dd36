"""The view of a search of trials without a browser: what is sent, when, how much of it, and what is answered."""

import json

import numpy as np
import pytest

import naslab as nl
from naslab_widgets import Lab
from naslab_widgets.figures.trial_table import AT
from naslab_widgets.trials_view import LISTED, TrialsView

STATUS = {"state": "running", "step": 0, "total": None, "message": ""}


class Wire:
    """A view whose messages are caught, and the browser's side of the talk."""

    def __init__(self, tiny, benchmark=None):
        self.clock, self.pokes = tiny.Clock(), 0
        self.space = nl.spaces.NASBench201()
        self.view = TrialsView(self.space, poke=self.poke, benchmark=benchmark, clock=self.clock)
        self.sent, self.answers = [], []
        self.view.send = self.catch

    def poke(self):
        self.pokes += 1

    def catch(self, content, buffers):
        json.dumps(content, allow_nan=False)
        (self.sent if "number" in content else self.answers).append((content, buffers))

    def hear(self, **message):
        self.view._receive(self.view, message, [])

    def publish(self, **status):
        return self.view.publish({**STATUS, **status})

    def later(self, seconds=1.0):
        self.clock.now += seconds
        return self.publish()

    def table(self, name, number=-1):
        content, buffers = self.sent[number]
        for head, buffer in zip(content["tables"], buffers, strict=True):
            if head["name"] == name:
                return np.frombuffer(buffer, "<f8").reshape(-1, head["width"])
        return None

    def steps(self, name="trials", number=-1):
        table = self.table(name, number)
        return [] if table is None else table[:, 0].astype(int).tolist()


@pytest.fixture
def wire(tiny):
    return Wire(tiny)


def test_nothing_is_sent_while_nobody_looks(wire, evaluated):
    wire.view.take(*(evaluated(step) for step in range(1, 50)))
    assert wire.publish() is False
    assert wire.sent == []


def test_hello_brings_everything_and_then_only_what_is_new(wire, evaluated):
    wire.view.take(*(evaluated(step) for step in range(1, 6)))
    wire.hear(type="hello")
    wire.publish()
    assert wire.sent[0][0]["fresh"] is True
    assert wire.steps() == [1, 2, 3, 4, 5]
    wire.view.take(evaluated(6), evaluated(7, None))
    assert wire.publish() is True, "too early"
    wire.later(0.125)
    assert wire.sent[1][0]["fresh"] is False
    assert wire.steps() == [6, 7]
    assert np.isnan(wire.table("trials")[1, AT["fitness"]])
    assert wire.sent[1][0]["status"]["failed"] == 1
    assert wire.steps("listed") == [], "every trial is shown: the table needs no others"
    assert wire.publish() is True, "what is sent seldom has to wait"
    assert wire.later() is False
    assert len(wire.sent) == 3
    wire.later()
    assert len(wire.sent) == 3


@pytest.mark.slow
def test_a_long_search_stays_few_messages_and_few_bytes(wire, evaluated):
    rng = np.random.default_rng(0)
    fitness = rng.permutation(40_000)
    wire.hear(type="hello")
    for start in range(0, 40_000, 2000):  # at 16,000 a second
        wire.view.take(*(evaluated(step, float(fitness[step - 1])) for step in range(start + 1, start + 2001)))
        wire.later(0.125)
        wire.hear(type="ack", number=wire.sent[-1][0]["number"])
    wire.later()
    assert len(wire.sent) <= 22
    assert sum(len(buffer) for _, buffers in wire.sent for buffer in buffers) < 2_000_000
    wire.hear(type="hello")
    wire.later()
    content, buffers = wire.sent[-1]
    assert sum(map(len, buffers)) < 400_000
    assert len(json.dumps(content)) < 20_000
    known = {int(row[0]): float(row[AT["fitness"]]) for name in ("trials", "listed") for row in wire.table(name)}
    assert {39_990, 40_000} <= known.keys()
    assert sorted(known.values())[-LISTED:] == sorted(fitness.tolist())[-LISTED:]


def test_the_origins_have_colours_and_the_best_is_told(wire, evaluated):
    wire.hear(type="hello")
    wire.view.take(evaluated(1, 0.2), evaluated(2, 0.9, origin="mutation", parents=(1,)), evaluated(3, 0.9))
    wire.publish()
    status = wire.sent[-1][0]["status"]
    assert [name for name, _, _ in status["origins"]] == ["random", "mutation"]
    assert len({colour for _, colour, _ in status["origins"]}) == 2
    assert status["best"]["number"] == 2
    assert wire.table("population").shape[1] == 8
    assert wire.sent[-1][0]["families"][:2] == [1, 3]


def test_figures_travel_with_the_listed_trials_once(wire, evaluated):
    wire.hear(type="hello")
    wire.view.take(evaluated(1, figures={"flops": 3.5}), evaluated(2, None), evaluated(3))
    wire.publish()
    assert wire.sent[0][0]["notes"] == {
        1: {"figures": {"flops": 3.5}, "message": "", "status": "done"},
        2: {"figures": {}, "message": "out of memory", "status": "failed"},
    }
    wire.view.take(evaluated(4, figures={"flops": 4.5}))
    wire.later()
    assert list(wire.sent[1][0]["notes"]) == [4]


def test_a_click_is_answered_with_the_picture_the_choices_and_all_ancestors(wire, evaluated):
    wire.view.take(evaluated(1), evaluated(2, parents=(1,)), evaluated(3), evaluated(4, parents=(2, 3)))
    wire.hear(type="select", number=4, chosen=True)
    (content, buffers) = wire.answers[-1]
    rows = np.frombuffer(buffers[0], "<f8").reshape(-1, len(AT))
    assert rows[:, AT["number"]].tolist() == [4, 2, 3, 1]
    assert content["picture"].startswith("<svg")
    assert content["choices"][0] == ["cell/1/from_0", "avg_pool_3x3"]
    assert (content["parents"], content["chosen"]) == ([2, 3], True)
    pictures = wire.view._portraits._pictures
    wire.hear(type="select", number=4)
    assert wire.view._portraits._pictures is pictures
    assert len(pictures) == 1
    wire.hear(type="hello")
    assert wire.answers[-1][0]["selected"] == 4, "a reloaded page shows it again"


@pytest.mark.parametrize("number", [77, None, "4", 4.5, True, [1], -1])
def test_what_is_no_trial_selects_nothing(wire, evaluated, number):
    wire.view.take(evaluated(1), evaluated(4))
    wire.hear(type="select", number=4)
    wire.hear(type="select", number=number)
    assert wire.answers[-1][0] == {"type": "candidate", "selected": None, "chosen": False}
    wire.view._receive(wire.view, "not even an object", [])
    wire.hear(type="no such thing")


def test_a_space_that_cannot_draw_is_said(wire, evaluated, monkeypatch):
    monkeypatch.setattr(type(wire.space), "graph", lambda self, architecture: 1 / 0)
    wire.view.take(evaluated(1))
    wire.hear(type="select", number=1)
    assert wire.answers[-1][0]["picture"] == ""
    assert "no picture: ZeroDivisionError" in wire.answers[-1][0]["message"]


def test_going_back_clears_the_page_and_what_was_chosen(wire, evaluated):
    wire.hear(type="hello")
    wire.view.take(*(evaluated(step) for step in range(1, 9)))
    wire.publish()
    wire.hear(type="select", number=8, chosen=True)
    wire.view.clear()
    assert wire.answers[-1][0]["selected"] is None
    wire.view.take(evaluated(1), evaluated(2))
    wire.later()
    assert wire.sent[-1][0]["fresh"] is True
    assert wire.steps() == [1, 2]


def test_policies_are_sent_with_the_names_of_their_options(wire, evaluated):
    wire.hear(type="hello")
    shares = {"cell/1/from_0": np.full(5, 0.2), "somewhere else": np.array([0.5, 0.5])}
    wire.view.take(evaluated(1, probabilities=shares, details={"q/cell/2/from_0": [1.0, 2.0], "baseline": 0.5}))
    wire.publish()
    heads = {head["name"]: head["columns"] for head in wire.sent[-1][0]["tables"]}
    assert heads["policy"] == [("cell/1/from_0", 5), ("somewhere else", 2)]
    assert sorted(heads["details"]) == [("baseline", 1), ("q/cell/2/from_0", 2)]
    options = wire.sent[-1][0]["options"]
    assert options["cell/1/from_0"] == options["cell/2/from_0"] == list(wire.space.operations)
    np.testing.assert_allclose(wire.table("policy")[0, 1:], [0.2] * 5 + [0.5] * 2, rtol=1e-6)


def test_a_lab_shows_a_search_of_trials_and_follows_it_back(trials, tmp_path):
    search = trials.searching(budget=80)
    lab = Lab(search)
    assert lab.view._truth.candidates == 15_625
    lab.run(60)
    assert len(lab.view._table) == 60
    before = lab.picture()
    assert before.count("<circle") > 50
    search.rewind(40)
    lab.run(1)
    assert len(lab.view._table) == 41
    assert lab.view._table.column("step").tolist() == list(range(1, 42))
    lab.run()
    assert repr(lab) == "<Lab: finished, step 80 of 80>"
    assert "image/svg+xml" in lab._repr_mimebundle_()


def test_a_lab_turns_the_knobs_of_a_proposer(tmp_path):
    table = nl.benchmarks.NASBench201("cifar10")
    sampler = nl.searchers.RegularizedEvolution(table.space, population=10, sample=3, seed=0)
    search = nl.Search(sampler, tmp_path / "run", estimator=table, budget=60)
    lab = Lab(search)
    lab.run(20)
    lab.set("sample", 5)
    lab.run()
    assert lab.view._log.lines[-1]["text"] == "sample: 3 → 5"
    assert lab.view._population == 10
    search.close()

    view = Lab.watch(tmp_path / "run", period=3600)
    try:
        assert isinstance(view.view, TrialsView)
        assert (view.state, view._step) == ("finished", 60)
        np.testing.assert_array_equal(view.view._table.rows, lab.view._table.rows)
        assert np.isfinite(view.view._table.column("regret")).all(), "the table is found again by its name"
        assert view.view._population == 10
        assert view.picture().startswith("<svg")
    finally:
        view.stop()
        view._thread.join(5)


def test_a_function_of_ones_own_has_no_truth_and_its_failures_are_said(tmp_path):
    space = nl.spaces.NASBench201()

    def score(architecture):
        if architecture.choices[0] == "none":
            raise ValueError("<b>no path</b>")
        return float(len(set(architecture.choices)))

    search = nl.Search(nl.searchers.RandomSearch(space), tmp_path / "run", estimator=score, budget=30)
    lab = Lab(search)
    lab.run()
    assert lab.view._truth is None
    assert lab.view._table.failed > 0
    assert np.isnan(lab.view._table.column("rank")).all()
    search.close()
    view = Lab.watch(tmp_path / "run", period=3600)
    view.stop()
    view._thread.join(5)
    assert len(view.view._table) == 30


def test_scripts_speak_no_html():
    """Foreign labels reach the page as text only."""
    for way_in in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert way_in not in TrialsView._esm


def test_failures_that_are_alike_are_said_in_the_log(wire, evaluated):
    """One mistake of the user's fails every candidate: the page says so at once, in red."""
    wire.view.take(*(evaluated(step, fitness=None, message="KeyError: 'x'") for step in range(1, 9)))
    [line] = wire.view._log.lines
    assert line["error"] is True
    assert line["step"] == 3
    assert line["text"].startswith("the first 3 candidates failed alike: KeyError: 'x'")
    wire.view.clear()
    assert wire.view._log.lines == []


def test_when_all_failed_words_stand_in_place_of_the_axis(wire, evaluated):
    wire.hear(type="hello")
    wire.publish()
    assert wire.sent[-1][0]["status"]["empty"] == "No candidate has been evaluated yet."
    wire.view.take(*(evaluated(step, fitness=None, message="KeyError: 'x'") for step in range(1, 4)))
    wire.later()
    assert wire.sent[-1][0]["status"]["empty"] == "All 3 candidates failed; the last: KeyError: 'x'"
    assert "All 3 candidates failed" in wire.view.picture()
    wire.view.take(evaluated(4))
    wire.later()
    assert wire.sent[-1][0]["status"]["empty"] == ""
