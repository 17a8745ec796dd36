"""A list of architectures is a space: what is drawn is on it, neighbours are near, and there is a way to everywhere."""

import functools
import json
from collections import Counter

import networkx as nx
import numpy as np
import pytest

import naslab as nl
from naslab.errors import SpecError
from naslab.randomness import numpy_generator
from naslab.spaces import FlexiBERT, LargeScaleEvolutionSpace, NASBench201, Subset, from_spec


def listed(space, count, **given):
    rng = numpy_generator("listed", space.name)
    return Subset(space, tuple({space.sample(rng).choices: None for _ in range(count)}), **given)


@pytest.fixture(scope="module", params=[NASBench201(), FlexiBERT()], ids=lambda space: space.name)
def space(request):
    return listed(request.param, 60, nearest=4)


@functools.cache
def options_of(space):
    return {choice.name: choice.options for row in space.rows for choice, _ in space.of.walk(row)}


@functools.cache
def answers(space, architecture):
    return space.of.answers(architecture)


def walked(space, one, other):
    """Gower's distance, choice by choice."""
    a, b, options = answers(space, one), answers(space, other), options_of(space)
    total = 0.0
    for name in a.keys() | b.keys():
        if name not in a or name not in b:
            total += 1
        elif all(isinstance(option, int) for option in options[name]):
            places = sorted(options[name])
            total += abs(places.index(a[name]) - places.index(b[name])) / (len(places) - 1)
        else:
            total += a[name] != b[name]
    return total


def test_draws_are_on_the_list_and_even():
    few = listed(NASBench201(), 8)
    rng = numpy_generator("draws")
    counts = Counter(few.sample(rng).choices for _ in range(8000))
    assert set(counts) == set(few.rows)
    assert max(abs(count - 1000) for count in counts.values()) < 5 * np.sqrt(1000)
    assert few.size == len(list(few.enumerate())) == 8


def test_neighbours_are_the_nearest_of_one_or_the_other(space):
    everyone = list(space.enumerate())
    distances = np.array([[walked(space, one, other) for other in everyone] for one in everyone])
    np.fill_diagonal(distances, np.inf)
    nearest = [set(np.argsort(row, kind="stable")[: space.nearest].tolist()) for row in distances.astype(np.float32)]
    links = 0
    for number, architecture in enumerate(everyone):
        near = [everyone.index(other) for other in space.neighbours(architecture)]
        mutual = {other for other in range(len(everyone)) if other in nearest[number] or number in nearest[other]}
        assert mutual <= set(near)
        links += len(set(near) - mutual)
        assert [distances[number][other] for other in near] == pytest.approx(sorted(distances[number][near]))
    assert links <= 2 * 3  # what joins the parts


def test_there_is_a_way_to_everywhere(space):
    graph = nx.Graph((one, other) for one in space.enumerate() for other in space.neighbours(one))
    assert len(graph) == space.size
    assert nx.is_connected(graph)


def test_two_worlds_are_joined_by_the_nearest_pair():
    """Encoders of two and of four layers are far apart: without a bridge no mutation would lead across."""
    space = listed(FlexiBERT(), 60, nearest=2)
    across = [
        (one, other)
        for one in space.enumerate()
        for other in space.neighbours(one)
        if one.choices[1] < other.choices[1]
    ]
    assert len(across) == 1
    shortest = min(
        walked(space, one, other)
        for one in space.enumerate()
        for other in space.enumerate()
        if one.choices[1] < other.choices[1]
    )
    assert walked(space, *across[0]) == pytest.approx(shortest)


def test_mutations_are_neighbours_and_all_of_them(space):
    rng = numpy_generator("mutations")
    architecture = space.sample(rng)
    near = set(space.neighbours(architecture))
    assert {space.mutate(architecture, rng) for _ in range(40 * len(near))} == near


def test_a_child_is_what_is_nearest_to_the_crossover(space):
    everyone = list(space.enumerate())
    for seed in range(10):
        first, second = everyone[seed], everyone[-1 - seed]
        child = space.crossover(first, second, np.random.default_rng(seed))
        wished = space.of.crossover(first, second, np.random.default_rng(seed))
        best = min(walked(space, wished, other) for other in everyone)
        assert walked(space, wished, child) == pytest.approx(best, abs=1e-5)
        assert space.crossover(first, first, np.random.default_rng(seed)) == first


def test_choice_by_choice_one_stays_on_the_list(space):
    """As a controller would go: every option that is offered leads on."""
    rng = numpy_generator("choices")
    for _ in range(50):
        taken = ()
        while (choice := space.next_choice(taken)) is not None:
            taken = (*taken, choice.options[rng.integers(len(choice.options))])
        assert taken in space.rows


def test_codes_distances_and_networks_are_the_whole_space_s(space):
    one, other, *_ = space.enumerate()
    assert space.encode(one).tolist() == space.of.encode(one).tolist()
    assert space.distance(one, other) == space.of.distance(one, other)
    assert space.answers(one) == space.of.answers(one)
    assert space.name == space.of.name
    assert one in space.of


def test_what_is_not_on_the_list(space):
    rng = numpy_generator("strangers")
    stranger = next(a for a in iter(lambda: space.of.sample(rng), None) if a.choices not in space.rows)
    assert stranger not in space
    for use in (space.check, lambda a: space.mutate(a, rng), lambda a: list(space.neighbours(a))):
        with pytest.raises(SpecError, match=r"none of the 1?[0-9]+ that are listed"):
            use(stranger)


def test_it_is_made_again_from_its_spec(space):
    again = from_spec(json.loads(json.dumps(space.spec())))
    assert again == space
    assert [list(again.neighbours(a)) for a in again.enumerate()] == [
        list(space.neighbours(a)) for a in space.enumerate()
    ]


def test_a_single_architecture():
    one = Subset(NASBench201(), (("none",) * 6,))
    assert list(one.neighbours(next(one.enumerate()))) == []
    with pytest.raises(SpecError, match="nothing to mutate"):
        one.mutate(next(one.enumerate()), numpy_generator("one"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((), "at least one"),
        ("none", "at least one"),
        ((("none",) * 6, ("none",) * 6), "listed twice"),
        ((("none",) * 5,), "too few"),
        ((("conv",) * 6,), "unknown option"),
    ],
)
def test_bad_lists(rows, message):
    with pytest.raises(SpecError, match=message):
        Subset(NASBench201(), rows)


def test_bad_spaces():
    with pytest.raises(SpecError, match="expected the space"):
        Subset("nasbench201", (("none",) * 6,))
    with pytest.raises(SpecError, match="unknown space"):
        from_spec({"space": "listed", "of": {"space": "nasbench"}, "rows": [["none"] * 6]})
    with pytest.raises(SpecError, match="nearest"):
        Subset(NASBench201(), (("none",) * 6,), nearest=0)


def test_a_search_goes_on_after_a_stop(tmp_path):
    table = nl.benchmarks.NASBenchBERT()
    sampler = nl.searchers.RegularizedEvolution(table.space, population=8, sample=3, seed=0)
    search = nl.Search(sampler, estimator=table, budget=40, run=tmp_path / "run")
    for event in search:
        if event.step == 20:
            break
    search.close()
    events = list(nl.Search.open(tmp_path / "run"))
    straight = nl.Search(
        nl.searchers.RegularizedEvolution(table.space, population=8, sample=3, seed=0), estimator=table, budget=40
    )
    assert [e.architecture for e in events] == [e.architecture for e in straight][20:]


def test_what_an_architecture_says_of_its_training_and_inheritance_holds_on_a_list_too():
    whole = LargeScaleEvolutionSpace(layers=3, channels=(4, 8))
    space, rng = listed(whole, 30), numpy_generator("recipe")
    for architecture in space.enumerate():
        assert space.recipe(architecture) == whole.recipe(architecture) == {"learning_rate": architecture.choices[0]}
    told = []
    object.__setattr__(whole, "inherit", lambda *given: told.append(given))
    architecture = space.sample(rng)
    space.inherit("network", architecture, architecture, {})
    assert told == [("network", architecture, architecture, {})]
