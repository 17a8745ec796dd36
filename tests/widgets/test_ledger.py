"""The section of the interventions, without a page."""

import threading
import time

import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab_widgets import Lab


@pytest.fixture(scope="module")
def table():
    return nl.benchmarks.NASBench201()


@pytest.fixture
def lab(table):
    searcher = nl.searchers.RegularizedEvolution(table.space, seed=1, population=4, sample=2)
    lab = Lab(nl.Search(searcher, estimator=table, budget=30))
    lab.run(6)
    yield lab
    lab.stop()


def test_the_section_tells_undoes_and_writes_down(lab):
    section = lab.deck.sections["ledger"]
    assert section.state() == {"rows": [], "count": 0, "script": {"asked": 0, "lines": []}}
    lab.search.set("sample", 1)
    lab.search.act("protect", candidate=6)
    assert [row["pending"] for row in section.state()["rows"]] == [True, True]
    section.on_message({"do": "undo", "number": 2})
    lab.run(1)
    (row,) = section.state()["rows"]
    assert (row["step"], row["sentence"], row["who"], row["undoable"]) == (7, "sample 2 → 1", "hand", True)
    section.on_message({"do": "undo"})
    lab.run(1)
    section.on_message({"do": "redo"})
    lab.run(1)
    assert [row["undone"] for row in section.state()["rows"]] == [None, 3, None]
    assert section.state()["count"] == 3
    with pytest.raises(SpecError, match="numbered from 1"):
        section.on_message({"do": "undo", "number": "<b>"})
    section.on_message({"do": "script"})
    told = section.state()["script"]
    assert told["asked"] == 1
    assert "\n".join("".join(pieces) for pieces in told["lines"]) + "\n" == lab.search.script()
    assert max(len(piece) for pieces in told["lines"] for piece in pieces) <= 500
    section.on_message({"do": "shut"})
    assert section.state()["script"]["lines"] == []
    section.on_message({"do": "nothing"})


def test_what_is_thought_away_is_a_fork_before_it(lab):
    lab.search.set("sample", 1)
    lab.search.set("budget", 40, who="cure")
    lab.run(3)
    begun = threading.active_count()
    lab.deck.sections["ledger"].on_message({"do": "without", "number": 1})
    for _ in range(600):
        if lab.forks and threading.active_count() <= begun:
            break
        time.sleep(0.1)
    (fork,) = lab.forks
    assert fork.step == 6
    assert (fork.settings["sample"].value, fork.total) == (2, 40)
    assert next(fork).step == 7
    (left,) = fork.ledger
    assert (left.sentence, left.who) == ("budget 30 → 40", "cure")
    assert lab.search.step == 9


def test_a_lab_goes_on_until_a_condition(lab):
    lab.until("fitness", 93.0)
    lab.wait(60)
    first = next(event for event in lab.search.events if event.best_fitness > 93)
    assert lab.search.step == max(7, first.step)
    assert lab.state == "paused"
    lab.until(lambda event: event.step == 20)
    lab.wait(60)
    assert lab.search.step == 20
    lab.until(lambda event: False)
    lab.wait(60)
    assert lab.state == "finished"
    with pytest.raises(SpecError, match="did you mean 'fitness'"):
        lab.until("fitnes", 1.0)
    with pytest.raises(SpecError, match="no epochs"):
        lab.step_epoch()
