"""Masks of searches of candidates, and populations that are tended by hand."""

import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.events import Acted

TABLE = {"cell/1/from_0": ["none", "skip_connect"], "cell/3/from_0": ["avg_pool_3x3"]}


@pytest.fixture(scope="module")
def table():
    return nl.benchmarks.NASBench201()


def test_a_method_that_cannot_forbid_says_so(table):
    search = nl.Search(nl.searchers.EPNAS(table.space, seed=1), estimator=table, budget=5)
    assert "mask" not in search.settings
    with pytest.raises(SpecError, match="epnas cannot forbid options"):
        search.set("mask", TABLE)


def test_masks_of_candidates_that_make_no_sense(table):
    search = nl.Search(nl.searchers.RandomSearch(table.space), estimator=table, budget=5)
    for value, said in (
        ({"cell/9/from_0": []}, "unknown choice 'cell/9/from_0'"),
        ({"cell/1/from_0": ["conv"]}, "unknown option 'conv'"),
        ({"cell/1/from_0": list(table.space.operations)}, "nothing would be left"),
        ("cell/1/from_0", "is a dictionary"),
    ):
        with pytest.raises(SpecError, match=said):
            search.set("mask", value)


TENDED = {
    "evolution": lambda space: nl.searchers.RegularizedEvolution(space, seed=1, population=4, sample=2),
    "large-scale evolution": lambda space: nl.searchers.LargeScaleEvolution(space, seed=1, population=4),
    "hurdles": lambda space: nl.searchers.Hurdles(space, seed=1, population=4, sample=3, per_hurdle=4),
}


@pytest.mark.parametrize("name", TENDED)
def test_members_of_a_population_are_killed_protected_and_added_by_hand(table, name):
    search = nl.Search(TENDED[name](table.space), estimator=table, budget=60)
    sampler = search.searcher.sampler
    for _ in range(9):
        next(search)
    before = sampler.population
    assert len(before) == 4
    doomed = before[0] if name == "evolution" else min(before)  # who would have to go next
    other = next(member for member in before if member != doomed)
    given = table.space.sample(7)
    search.act("protect", candidate=doomed.number)
    search.act("kill", candidate=other.number)
    search.act("add", architecture=given)
    event = next(search)
    assert (event.origin, event.architecture) == ("added", given)
    for _ in range(14):
        next(search)
        numbers = [member.number for member in sampler.population]
        assert doomed.number in numbers
        assert other.number not in numbers
        assert len(numbers) <= 4
    acted = [event for event in search.events if isinstance(event, Acted)]
    assert [event.name for event in acted] == ["protect", "kill", "add"]
    assert acted[1].before["choices"] == list(other.architecture.choices)
    back = search.fork(step=9)
    assert back.searcher.sampler.population == before
    again = search.fork(step=12)
    while again.step < search.step:
        next(again)
    assert list(again.events) == list(search.events)
    assert again.searcher.state_dict() == search.searcher.state_dict()
    sampler.act("release", {"candidate": doomed.number})
    for _ in range(25):
        next(search)
    assert doomed not in sampler.population
    back.searcher.act("kill", {"candidate": other.number})
    back.searcher.act("revive", {"candidate": other.number})
    assert back.searcher.sampler.population == before
    for member in before[: 4 - sampler.mortal]:
        back.searcher.act("protect", {"candidate": member.number})
    for act, told, said in (
        ("kill", {"candidate": 1000}, "is not in the population"),
        ("revive", {"candidate": doomed.number}, "was not killed"),
        ("add", {"architecture": ["none"]}, "too few"),
        ("add", {"architecture": nl.spaces.DartsCell.laptop().sample(0)}, "darts_cell"),
        ("protect", {}, "'candidate' is missing"),
        ("protect", {"candidate": before[-1].number}, "are protected: one must be able to make room"),
    ):
        with pytest.raises(SpecError, match=said):
            back.act(act, **told)
    for _ in range(8):
        next(back)
    assert {member.number for member in before[: 4 - sampler.mortal]} <= {
        member.number for member in back.searcher.sampler.population
    }


@pytest.mark.parametrize("cls", [nl.searchers.RegularizedEvolution, nl.searchers.Hurdles])
def test_what_is_added_does_not_take_the_place_of_what_the_population_begins_with(table, cls):
    first = [table.space.sample(seed) for seed in range(3)]
    search = nl.Search(cls(table.space, population=4, sample=2, first=first), estimator=table, budget=12)
    next(search)
    search.act("add", architecture=table.space.sample(9).choices)
    seen = [search.events[0], *(next(search) for _ in range(3))]
    assert [event.architecture for event in seen if isinstance(event, nl.events.Evaluated)][:3] == first
    assert seen[-1].origin == "added"
