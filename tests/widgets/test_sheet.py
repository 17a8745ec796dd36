"""The sheet of an edge: what it tells and what it does, without a front end."""

import base64
import math

import pytest

import naslab as nl
from naslab.events import Changed
from naslab_widgets import Lab
from naslab_widgets.sheet import EdgeSheet


@pytest.fixture(scope="module")
def task():
    return nl.tasks.Digits()


@pytest.fixture
def made(task):
    """A lab, and what its page sends and is told."""
    space = nl.spaces.DartsCell(nodes=2, channels=2, cells=3)
    search = nl.Search(nl.searchers.Darts(space, task, batch_size=8, epochs=1, seed=0))
    lab = Lab(search)
    section = lab.view._sections.all["sheet"]

    def ask(**message):
        lab.view._receive(lab.view, {"type": "section", "section": "sheet", **message}, [])
        lab.wait(60)
        return section.state()

    yield search, lab, section, ask
    lab.stop()


def test_each_button_is_a_wish_until_its_step_is_done(made):
    search, lab, section, ask = made
    skip = search.searcher.space.operations.index("skip_connect")
    state = ask(do="forbid", part=1, edge=2, operation=skip)
    assert (state["now"]["masks"], state["next"]["masks"]) == ([{}, {}], [{}, {"2": [skip]}])
    assert state["refused"] == ""
    ask(do="nudge", part=0, edge=3, operation=skip, by=0.5)
    ask(do="drop", part=0, edge=4)
    state = ask(do="forbid_everywhere", operation=0)
    assert state["nudges"] == [[0, 3, skip, 0.5]]
    assert (state["next"]["dropped"], state["next"]["everywhere"]) == ([[4], []], [0])
    before = float(search.searcher.alphas["normal"].detach()[3, skip])
    lab.run(1)
    state = section.state()
    assert state["now"] == state["next"] == {"everywhere": [0], "masks": [{}, {"2": [skip]}], "dropped": [[4], []]}
    assert state["nudges"] == []
    assert float(search.searcher.alphas["normal"].detach()[3, skip]) == pytest.approx(before + 0.5, abs=0.05)
    assert search.events[-1].probabilities["reduce"][2, skip] == 0

    ask(do="allow", part=1, edge=2, operation=skip)
    ask(do="undrop", part=0, edge=4)
    ask(do="allow_everywhere", operation=0)
    state = ask(do="lock", part=0, edge=1, operation=skip)
    others = [place for place in range(len(search.searcher.space.operations)) if place != skip]
    assert state["next"] == {"everywhere": [], "masks": [{"1": others}, {}], "dropped": [[], []]}
    lab.run(1)
    assert search.events[-1].probabilities["normal"][1, skip] == 1
    assert ask(do="unlock", part=0, edge=1)["next"]["masks"] == [{}, {}]
    assert {event.who for event in search.events if isinstance(event, Changed)} == {"hand"}


def test_what_cannot_be_done_is_said_on_the_sheet_and_nothing_is_changed(made):
    search, lab, section, ask = made
    last = len(search.searcher.space.operations) - 1
    ask(do="lock", part=0, edge=0, operation=last)
    state = ask(do="forbid", part=0, edge=0, operation=last)
    assert "nothing would be left of the edge '0'" in state["refused"]
    for edge in (0, 1):
        state = ask(do="drop", part=0, edge=edge)
    assert "nothing would be left to derive" in state["refused"], "the first node keeps its two edges"
    assert state["next"]["dropped"] == [[0], []] or state["next"]["dropped"] == [[], []]
    told = section.state()["next"]
    for message in (
        {"do": "forbid"},
        {"do": "forbid", "part": 2, "edge": 0, "operation": 0},
        {"do": "forbid", "part": "normal", "edge": 0, "operation": 0},
        {"do": "forbid", "part": 0, "edge": -1, "operation": 0},
        {"do": "forbid", "part": 0, "edge": True, "operation": 0},
        {"do": "forbid", "part": 0, "edge": 0, "operation": 1e9},
        {"do": "nudge", "part": 0, "edge": 1, "operation": 0, "by": math.nan},
        {"do": "nudge", "part": 0, "edge": 1, "operation": 0, "by": "1"},
        {"do": "nudge", "part": 0, "edge": 1, "operation": 0, "by": math.inf},
        {"do": "maps", "part": 0, "edge": 1, "example": 10**9},
        {"do": "maps", "part": 0, "edge": 1},
    ):
        assert ask(**message)["refused"], message
    for message in ({"do": "close"}, {"do": ["forbid"]}, {"do": "__init__"}, {}):
        assert ask(**message)["refused"] == "", message
    assert section.state()["next"] == told
    assert section.state()["nudges"] == []
    lab.run(1)


@pytest.mark.slow
def test_looking_inside_changes_no_bit_and_the_search_goes_on(made, task):
    search, lab, section, ask = made
    lab.run(2)
    state = ask(do="anatomy")
    edge = next(one for one in state["anatomy"] if (one["part"], one["edge"]) == (0, 1))
    operations = search.searcher.space.operations
    of = {operations[column]: place for place, column in enumerate(section.about()["has"][0][1])}
    assert edge["parameters"][of["sep_conv_3x3"]] > edge["parameters"][of["skip_connect"]] == 0
    assert edge["fields"][of["sep_conv_3x3"]] == [5, 5]
    assert len(edge["reads"]) == len(edge["gives"]) == 3

    state = ask(do="gradients")
    assert state["gradients"]["step"] == 2
    assert state["gradients"]["parameters"][0][1][of["sep_conv_3x3"]] > 0
    state = ask(do="maps", part=0, edge=1, example=7)
    maps = state["maps"]
    assert (maps["part"], maps["edge"], maps["example"], len(maps["operations"])) == (0, 1, 7, len(of))
    assert len(base64.b64decode(maps["grey"])) == maps["size"][0] * maps["size"][1]
    assert state["refused"] == ""
    assert state["busy"] == []

    def broken(*_, **__):
        raise ZeroDivisionError("in a supernet of somebody's own")

    section._later("gradients", broken)
    lab.wait(60)
    assert section.state()["refused"] == "ZeroDivisionError: in a supernet of somebody's own"
    assert lab.state == "paused"
    lab.run(2)
    space = nl.spaces.DartsCell(nodes=2, channels=2, cells=3)
    plain = nl.Search(nl.searchers.Darts(space, task, batch_size=8, epochs=1, seed=0))
    for _ in range(4):
        next(plain)
    assert plain.events[-1].metrics == search.events[-1].metrics
    assert (plain.events[-1].probabilities["normal"] == search.events[-1].probabilities["normal"]).all()


def test_the_page_is_told_when_it_changes_and_a_stopped_lab_says_so(made):
    _, lab, section, ask = made
    sent = []
    lab.view.send = lambda content, buffers: sent.append(content)
    assert lab.view.description["sections"]["sheet"]["has"][0][0] == list(range(8))
    lab.view._receive(lab.view, {"type": "hello"}, [])
    lab._publish()
    assert sent[-1]["sections"]["sheet"]["next"]["everywhere"] == []
    lab.run(1)
    lab.view._flow._sent_at = -math.inf
    lab._publish()
    assert sent[-1]["sections"] == {}, "the sheet says what it said"
    ask(do="forbid_everywhere", operation=3)
    lab.view._flow._sent_at = -math.inf
    lab._publish()
    assert sent[-1]["sections"]["sheet"]["next"]["everywhere"] == [3]
    lab.stop()
    section.on_message({"do": "anatomy"})
    assert "was stopped" in section.state()["refused"]
    assert section.state()["busy"] == []


def test_only_a_search_that_mixes_operations_has_one(tiny):
    table = nl.benchmarks.NASBench201()
    trials = nl.Search(nl.searchers.RandomSearch(table.space, seed=0), estimator=table, budget=3)
    for search in (trials, tiny.Search(), object()):
        assert EdgeSheet.of(search, lambda command: None) == []
