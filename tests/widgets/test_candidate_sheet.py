"""The sheet of a candidate: what it tells, what it does, and what it refuses, without a front end."""

import json

import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.events import Acted
from naslab_widgets import Lab
from naslab_widgets.candidate_sheet import LONGEST, CandidateSheet, read


@pytest.fixture(scope="module")
def table():
    return nl.benchmarks.NASBench201()


@pytest.fixture
def made(table):
    """A lab whose search has done nine steps, and what its page sends and is told."""
    searcher = nl.searchers.RegularizedEvolution(table.space, seed=1, population=4, sample=2)
    search = nl.Search(searcher, estimator=table, budget=60)
    lab = Lab(search)
    lab.run(9)
    section = lab.view._sections.all["candidate"]

    def ask(**message):
        lab.view._receive(lab.view, {"type": "section", "section": "candidate", **message}, [])
        return section.state()

    def select(number):
        lab.view._receive(lab.view, {"type": "select", "number": number, "chosen": True}, [])
        return section.state()

    yield search, lab, ask, select
    lab.stop()


def test_it_tells_of_the_candidate_that_is_selected(made):
    search, lab, _, select = made
    assert lab.view._sections.all["candidate"].state()["told"] is None
    child = next(event for event in search.events if event.parents)
    state = select(child.parents[0])
    assert state["number"] == child.parents[0]
    assert [child.number, child.fitness] in state["told"]["children"]
    told = select(child.number)["told"]
    assert told["fate"] == nl.analysis.candidate(search.events, child.number).fate
    assert read(search.space, told["text"]) == child.architecture
    assert select(1000)["told"] is None
    select(child.number)
    search.rewind(2)
    lab.picture()
    assert lab.view._sections.all["candidate"].state()["told"] is None, "it is gone, as it was never there"


def test_what_became_of_it_is_looked_up_now_and_then_and_at_the_end(made):
    search, *_ = made
    clock = iter([0.0, 0.1, 0.2, 9.0])
    sheet = CandidateSheet(search.space, lambda: 1, search, clock=lambda: next(clock))
    sheet.take(*search.events[:3])
    assert sheet.state()["told"]["brood"] == 0
    sheet.take(*search.events[3:])
    assert sheet.due
    seen = [sheet.state()["told"]["brood"] for _ in range(3)]
    assert seen[:2] == [0, 0]
    assert seen[2] == len(nl.analysis.candidate(search.events, 1).children)
    assert not sheet.due


def test_a_member_is_killed_protected_and_brought_back_each_a_wish_until_its_step(made):
    search, lab, ask, select = made
    members = [member.number for member in search.searcher.sampler.population]
    one, other = members[1], members[2]
    assert select(one)["hand"] == {"alive": True, "protected": False, "killed": False, "wished": []}
    assert ask(do="kill", candidate=one)["hand"]["wished"] == ["kill"]
    assert ask(do="back", act="kill", candidate=one)["hand"]["wished"] == []
    assert "not pending" in ask(do="back", act="kill", candidate=one)["refused"]
    ask(do="kill", candidate=one)
    ask(do="protect", candidate=other)
    lab.run(1)
    assert select(one)["hand"] == {"alive": False, "protected": False, "killed": True, "wished": []}
    assert select(other)["hand"]["protected"] is True
    assert [event.name for event in search.events if isinstance(event, Acted)] == ["kill", "protect"]
    ask(do="release", candidate=other)
    state = ask(do="kill", candidate=1000)
    assert "candidate 1000 is not in the population" in state["refused"]
    assert ask(do="release", candidate=other)["refused"] == ""


def test_candidates_are_added_by_hand_and_withdrawn(made):
    search, lab, ask, select = made
    number = search.events[0].number
    select(number)
    (again,) = ask(do="again", candidate=number)["waiting"]
    assert again["pending"]
    text = search.space.format(search.space.sample(7))
    state = ask(do="add", text=text)
    assert state["done"] == 1
    assert [line["act"] for line in state["waiting"]] == ["add", "add"]
    lab.run(1)
    assert (search.events[-1].origin, search.events[-1].architecture) == ("added", search.events[0].architecture)
    (waits,) = ask()["waiting"]
    assert (waits["pending"], waits["text"]) == (False, ", ".join(search.space.parse(text).choices))
    (gone,) = ask(do="withdraw", key=waits["key"])["waiting"]
    assert (gone["act"], gone["pending"]) == ("withdraw", True)
    (back,) = ask(do="back", act="withdraw", key=waits["key"])["waiting"]
    assert not back["pending"]
    ask(do="withdraw", key=waits["key"])
    lab.run(1)
    assert ask()["waiting"] == []
    assert search.events[-1].origin != "added"
    lab.run()
    assert "all 60 steps are done" in ask(do="add", text=text)["refused"]


def test_an_architecture_is_read_in_every_form_it_is_written_in(table):
    space = table.space
    one = space.sample(3)
    for text in (
        json.dumps(space.answers(one)),
        f"\n {json.dumps(list(one.choices))} ",
        one.to_json(),
        space.format(one),
    ):
        assert read(space, text) == one
    darts = nl.spaces.DartsCell.laptop()
    assert read(darts, json.dumps(darts.answers(darts.sample(1)))) == darts.sample(1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "nothing was written"),
        (["none"], "nothing was written"),
        ("  ", "nothing was written"),
        ("x" * (LONGEST + 1), "are more than"),
        ("{", "this is not valid JSON"),
        ("[" * 15000, "this is not valid JSON"),
        ("[" + "9" * 9000 + "]", "JSON|is none of|choices"),
        ('["none"]', "too few"),
        ("[[], {}, null, NaN, 1e999, true]", "nasbench201"),
        ('{"cell/1/from_0": "<img src=x>"}', "<img src=x>"),
        ("{}", "empty mapping"),
        ('{"space": "darts_cell", "choices": []}', "does not belong"),
        ('{"space": 3, "choices": 4}', "to be a string"),
        ("|what~0|+|ever", "expected"),
    ],
)
def test_what_is_no_architecture_is_refused_with_a_sentence(table, text, said):
    with pytest.raises(SpecError, match=said):
        read(table.space, text)


def test_hostile_messages_change_nothing(made):
    search, _, ask, select = made
    before = search.searcher.state_dict()
    select(3)
    for message in (
        {},
        {"do": None},
        {"do": ["kill"]},
        {"do": "__init__"},
        {"do": "kill"},
        {"do": "kill", "candidate": "<b>"},
        {"do": "kill", "candidate": True},
        {"do": "protect", "candidate": [3]},
        {"do": "again", "candidate": {}},
        {"do": "withdraw", "key": True},
        {"do": "withdraw", "key": [1]},
        {"do": "back", "act": ["add"], "key": 1},
        {"do": "back", "act": "set", "candidate": 3},
        {"do": "add", "text": {"a": 1}},
    ):
        ask(**message)
    assert search.wished == []
    assert search.searcher.state_dict() == before
    assert ask(do="kill", candidate="<b>")["refused"].startswith("candidate must be a whole number")


def test_looking_at_candidates_changes_nothing_of_the_search(made, table):
    search, lab, _, select = made
    for number in (1, 5, 9):
        select(number)
    lab.run()
    alone = nl.Search(
        nl.searchers.RegularizedEvolution(table.space, seed=1, population=4, sample=2), estimator=table, budget=60
    )
    for _ in alone:
        pass
    assert list(alone.events) == list(search.events)


def test_over_a_run_folder_it_tells_and_has_no_buttons(table, tmp_path):
    searcher = nl.searchers.RegularizedEvolution(table.space, seed=1, population=4, sample=2)
    search = nl.Search(searcher, estimator=table, budget=8, run=tmp_path / "run")
    for _ in search:
        pass
    search.close()
    watch = Lab.watch(tmp_path / "run")
    try:
        section = watch.view._sections.all["candidate"]
        assert section.about() == {"acts": []}
        watch.view._receive(watch.view, {"type": "select", "number": 2, "chosen": True}, [])
        assert section.state()["told"]["candidate"] == 2
        watch.view._receive(watch.view, {"type": "section", "section": "candidate", "do": "kill", "candidate": 2}, [])
        assert section.state()["refused"] == ""
    finally:
        watch.stop()
