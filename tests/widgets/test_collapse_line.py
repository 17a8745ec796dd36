"""The line that says whether a search collapses: what the page is told, and what a click there asks for."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import numpy as np
import pytest

import naslab as nl
from naslab.events import Changed, SupernetStep
from naslab.searchers import Mask, Switch
from naslab_widgets import Lab
from naslab_widgets.collapse import CollapseLine

SPACE = nl.spaces.NASBench201(channels=4, cells=1)
GOOD = SPACE.architecture(["nor_conv_3x3"] * 6)


def step(number, skip):
    """Skip connections have this share of each edge."""
    rows = np.full((6, 5), (1 - skip) / 4)
    rows[:, SPACE.operations.index("skip_connect")] = skip
    return SupernetStep(
        step=number, epoch=0, settings={}, best=GOOD, probabilities={"cell": rows},
        metrics={"valid/loss": 1.0, "discretisation_gap": 0.5},
    )  # fmt: skip


def until(done):
    """Wait for what another thread does."""
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def line():
    asked = []
    search = SimpleNamespace(
        space=SPACE,
        searcher=SimpleNamespace(measurable=("alpha_hessian_eigenvalue",)),
        settings={
            "freeze/alphas": Switch(value=False),
            "mask/cell": Mask(options={str(row): SPACE.operations for row in range(6)}),
        },
    )
    made = CollapseLine(search, asked.append, asked.append)
    made.asked, made.search = asked, search
    return made


def test_before_and_after_a_warning(line):
    assert line.state() == {
        "level": "grey", "sentence": "nothing unusual: no step is done yet",
        "why": [], "turns": [], "remedies": [], "measures": False,
    }  # fmt: skip
    line.take(step(1, 0.2))
    assert (line.state()["level"], line.state()["measures"], line.state()["remedies"]) == ("grey", True, [])
    line.take(step(2, 0.3))
    state = json.loads(json.dumps(line.state()))
    assert state["level"] == "amber"
    assert state["turns"] == [[2, "amber", state["sentence"]]]
    assert [(name, step) for name, _, _, _, step in state["remedies"]] == [("stop early", 1), ("fewer skips", 1)]
    assert len(state["why"]) == 3
    line.clear()
    assert line.state()["turns"] == []
    assert line.state()["level"] == "grey"


def test_what_a_click_asks_for(line):
    line.take(step(1, 0.2), step(2, 0.3))
    line.on_message({"do": "measure"})
    line.on_message({"do": "remedy", "name": "stop early"})
    line.on_message({"do": "remedy", "name": "no such thing"})
    line.on_message({"do": "anything"})
    measure, remedy = line.asked
    assert measure == "alpha_hessian_eigenvalue"
    assert (remedy.step, remedy.change) == (1, {"freeze/alphas": True})


def test_remedies_follow_what_was_done_by_hand(line):
    line.take(step(1, 0.2), step(2, 0.3))
    assert len(line.remedies) == 2
    line.search.settings["freeze/alphas"] = Switch(value=True)
    line.take(Changed(step=3, name="freeze/alphas", old=False, new=True), step(3, 0.3))
    assert [remedy.name for remedy in line.remedies] == ["fewer skips"]


@pytest.mark.slow
def test_a_lab_forks_with_a_remedy_and_watching_changes_nothing():
    def nudged():
        searcher = nl.searchers.Darts(SPACE, nl.tasks.Digits(), epochs=3, batch_size=32, w_lr=0.1, seed=0)
        return nl.Search(searcher)

    def push(search):
        for row in range(6):
            search.act("nudge", part="cell", row=row, operation="skip_connect", by=1.5)

    search, other = nudged(), nudged()
    lab = Lab(search)
    lab.run(20)
    assert lab.collapse.state()["level"] == "grey"
    push(search)
    lab.run(5)
    assert (lab.collapse.standing.level, lab.collapse.standing.since) == ("red", 21)
    lab.collapse.on_message({"do": "remedy", "name": "fewer skips"})
    until(lambda: lab.forks and len(lab.stage.shown) == 2)
    (fork,) = lab.forks
    assert (fork.step, fork.name) == (20, "fewer skips")
    assert list(next(fork).settings["mask/cell"].values()) == [["skip_connect"]] * 4
    lab.collapse.on_message({"do": "measure"})
    lab.wait(60)
    assert "eigenvalue" in lab.collapse.standing.figures
    search.rewind(4)
    lab.run(2)
    assert (lab.collapse.standing.level, lab.collapse.turns) == ("grey", [])

    events = [next(other) for _ in range(6)]
    assert [event for event in search.events if event.kind == "supernet_step"] == events


def test_a_search_of_candidates_has_no_such_line():
    table = nl.benchmarks.NASBench201()
    assert Lab(nl.Search(nl.searchers.RandomSearch(table.space), estimator=table, budget=2)).collapse is None
