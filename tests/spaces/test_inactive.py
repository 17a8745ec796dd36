"""Choices that change nothing in some architectures: those that are the same network count, and are visited, once."""

import functools
from dataclasses import dataclass
from typing import ClassVar

import pytest

from naslab.architecture import Architecture, Choice
from naslab.errors import SpecError
from naslab.randomness import numpy_generator
from naslab.searchers import LocalSearch
from naslab.searchers.one_shot import Evolution, OneShotHyperparameters
from naslab.spaces import FixedSpace, NASBench201, Space, Subset

WIDTHS = (1, 2, 3)


def canonical(self, architecture):
    """A pool has no width."""
    kind, *rest = self.check(architecture).choices
    return self.architecture((kind, WIDTHS[0], *rest[1:])) if kind == "pool" else architecture


@dataclass(frozen=True)
class Layer(FixedSpace):
    name: ClassVar[str] = "layer_of_a_test"
    has_inactive_choices: ClassVar[bool] = True

    def each_choice(self):
        return [Choice("kind", ("pool", "conv")), Choice("width", WIDTHS), Choice("stride", (1, 2))]

    def build(self, architecture, task):
        raise NotImplementedError

    graph = build
    canonical = canonical


@dataclass(frozen=True)
class Tree(Space):
    """The same, asked choice by choice."""

    name: ClassVar[str] = "tree_of_a_test"
    has_inactive_choices: ClassVar[bool] = True

    def next_choice(self, prefix):
        choices = Layer()._choices
        return choices[len(prefix)] if len(prefix) < len(choices) else None

    def build(self, architecture, task):
        raise NotImplementedError

    graph = build
    canonical = canonical


@pytest.fixture(params=[Layer(), Tree()], ids=["fixed", "tree"])
def space(request):
    return request.param


def one(space, *choices):
    return space.architecture(choices)


def test_the_same_network_is_one_architecture(space):
    assert space.active(one(space, "pool", 3, 2)) == space.active(one(space, "pool", 2, 2)) == one(space, "pool", 1, 2)
    assert space.active(one(space, "conv", 3, 2)) == one(space, "conv", 3, 2)
    assert space.size == len(list(space.enumerate())) == len(set(space.enumerate())) == 2 * (1 + 3)
    assert one(space, "pool", 2, 1) not in set(space.enumerate())
    assert space.distance(one(space, "pool", 3, 1), one(space, "pool", 2, 1)) == 0
    assert space.distance(one(space, "pool", 3, 1), one(space, "conv", 1, 1)) == 1
    assert space.distance(one(space, "pool", 3, 1), one(space, "conv", 3, 2)) == 3


def test_under_a_mask_each_network_that_is_left_counts_once(space):
    fewer = space.without({"width": [1]})  # what stands for a pool is forbidden, pools are not
    left = list(fewer.enumerate())
    assert all(fewer.allows(each) for each in left)
    assert len({space.active(each) for each in left}) == len(left) == fewer.size == 2 * (1 + 2)
    fewer = space.without({"kind": ["conv"]})
    assert fewer.size == len(list(fewer.enumerate())) == 2
    assert fewer.distance(one(space, "pool", 3, 1), one(space, "pool", 2, 1)) == 0


def test_local_search_evaluates_each_network_once(space):
    sampler = LocalSearch(space, seed=0)
    seen = []
    for _ in range(space.size):
        trial = sampler.ask()
        seen.append(space.active(trial.architecture))
        sampler.tell(trial, float(trial.architecture.choices[0] == "conv") + 0.1 * len(seen))
    assert len(set(seen)) == len(seen)
    again = LocalSearch(space, seed=0)
    again.load_state_dict(sampler.state_dict())
    assert again.ask() == sampler.ask()


def test_one_shot_evolution_judges_each_network_once(space):
    sizes = {"population": 4, "generations": 3, "parents": 2, "crossovers": 1, "mutations": 1}
    evolution = Evolution(space, 0, OneShotHyperparameters(**sizes), lambda architecture: (0.0, ""))
    seen = []
    while evolution.left:
        seen.append(space.active(Architecture(space.name, evolution.next.choices)))
        evolution.update(len(seen), float(len(seen)))
        again = Evolution(space, 0, OneShotHyperparameters(**sizes), lambda architecture: (0.0, ""))
        again.load_state_dict(evolution.state_dict())
        assert again.left == evolution.left
        assert not again.left or again.next == evolution.next
    assert len(set(seen)) == len(seen) > 4


# --- a list with fewer options ---------------------------------------------------------------------

EDGE = "cell/1/from_0"


@functools.cache
def listed():
    space = NASBench201()
    rng = numpy_generator("a list")
    return Subset(space, tuple({space.sample(rng).choices: None for _ in range(60)}), nearest=4)


def test_of_a_list_is_left_what_holds_nothing_forbidden():
    space = listed()
    fewer = space.without({EDGE: ["none", "skip_connect"], "cell/3/from_0": ["none"]})
    rows = [row for row in space.rows if row[0] not in ("none", "skip_connect") and row[3] != "none"]
    assert 5 < len(rows) < 50
    assert [each.choices for each in fewer.enumerate()] == rows
    assert fewer.size == len(rows)
    rng = numpy_generator("draws")
    assert {fewer.sample(rng).choices for _ in range(40 * len(rows))} == set(rows)
    kept = set(fewer.enumerate())
    for each in space.enumerate():
        repaired = fewer.repaired(each)
        assert repaired in kept
        assert (repaired == each) == (each in kept) == (each in fewer)
        for drawn in (fewer.mutate(each, rng), fewer.mutate_each(each, 0.3, rng), fewer.mutate_node_first(each, rng)):
            assert drawn in kept - {each}
        assert fewer.crossover(each, space.sample(rng), rng) in kept
        assert set(fewer.neighbours(each)) <= kept - {each}
    assert fewer.without({}) == fewer
    assert space.without({}) is space


def test_a_mutation_of_a_list_leads_elsewhere_and_is_the_nearest_left():
    space = listed()
    fewer = space.without({EDGE: ["none"]})
    for each in space.enumerate():
        if not fewer.allows(each):
            nearest = min(fewer.distance(each, other) for other in fewer.enumerate())
            assert fewer.distance(each, fewer.repaired(each)) == nearest


def test_a_list_of_which_nothing_is_left():
    space = Subset(NASBench201(), (("none",) * 6, ("skip_connect",) * 6))
    with pytest.raises(SpecError, match="nothing would be left of the choice"):
        space.without({EDGE: ["none", "skip_connect"]})
    with pytest.raises(SpecError, match="nothing would be left of the 2 architectures that are listed"):
        space.without({EDGE: ["none"], "cell/3/from_0": ["skip_connect"]})
    alone = space.without({EDGE: ["none"]})
    assert alone.size == 1
    with pytest.raises(SpecError, match="nothing to mutate"):
        alone.mutate(alone.sample(0), 0)
