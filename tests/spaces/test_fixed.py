"""Spaces whose choices are always the same ones: what they need not say."""

import copy
import pickle
from dataclasses import dataclass
from typing import ClassVar

import networkx as nx
import pytest

from naslab.architecture import Architecture, Choice
from naslab.errors import SpecError
from naslab.networks import sizes
from naslab.randomness import numpy_generator
from naslab.spaces import SPACES
from naslab.spaces.fixed_space import CACHE_SIZE, FixedSpace
from naslab.spaces.space import Space


@dataclass(frozen=True)
class Two(FixedSpace):
    name = "two"
    asked: ClassVar = []

    def each_choice(self):
        self.asked.append(1)
        yield Choice("first", ("a", "b"))
        yield Choice("second", (1, 2, 3))

    def build(self, architecture, task):
        raise NotImplementedError

    def graph(self, architecture):
        return nx.DiGraph()


def test_each_choice_is_all_that_is_needed():
    space = Two()
    assert [str(choice.name) for choice in space.fixed_choices] == ["first", "second"]
    assert space.next_choice(("a",)).options == (1, 2, 3)
    assert space.next_choice(("a", 2)) is None
    assert space.size == len(list(space.enumerate())) == 6
    assert space.mutate(space.architecture(("b", 3)), numpy_generator(0)) in space
    assert len(Two.asked) == 1


def test_of_a_small_space_each_architecture_is_made_once():
    space, rng = SPACES["nasbench201"](), numpy_generator("once")
    drawn = [space.sample(rng) for _ in range(3000)]
    drawn += [space.mutate(parent, rng) for parent in drawn]
    assert len({id(architecture) for architecture in drawn}) == len(set(drawn)) < len(drawn)


def test_of_a_large_space_few_are_kept_and_none_travels():
    space, rng = SPACES["darts_cell"](), numpy_generator("few")
    unused = len(pickle.dumps(space))
    for _ in range(CACHE_SIZE + 50):
        assert space.mutate(space.sample(rng), rng).space == "darts_cell"
    assert len(space._cache) == CACHE_SIZE
    assert len(pickle.dumps(space)) < unused + 20_000
    for copied in (copy.deepcopy(space), pickle.loads(pickle.dumps(space))):
        assert copied == space
        assert copied.sample(numpy_generator(1)) == space.sample(numpy_generator(1))


@pytest.mark.parametrize("place", range(6))
def test_an_illegal_option_anywhere_is_refused_before_a_number_is_drawn(place):
    space, rng = SPACES["nasbench201"](), numpy_generator("illegal")
    legal = space.sample(rng)
    before = rng.bit_generator.state
    with pytest.raises(SpecError, match="unknown option 'no such option'"):
        space.mutate(
            Architecture(space.name, (*legal.choices[:place], "no such option", *legal.choices[place + 1 :])), rng
        )
    assert rng.bit_generator.state == before


def test_one_that_says_no_choices_cannot_be_made():
    class Silent(FixedSpace):
        def build(self, architecture, task): ...
        def graph(self, architecture): ...

    with pytest.raises(TypeError, match="each_choice"):
        Silent()


def test_no_space_says_again_what_follows():
    fixed = [space for space in SPACES.values() if issubclass(space, FixedSpace)]
    assert len(fixed) >= 10
    assert all(space.next_choice is FixedSpace.next_choice for space in fixed)
    others = [space for space in SPACES.values() if space not in fixed]
    assert all(space.next_choice is not Space.next_choice for space in others)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("conv", "must be a list of names, not 'conv'"),
        (("conv", "pol"), "did you mean 'pool'"),
        ((["conv"],), "unknown operation"),
        (("conv", "pool", "conv"), "named twice: conv, pool, conv"),
    ],
)
def test_operations_are_checked_once_for_all(values, said):
    with pytest.raises(SpecError, match=said):
        sizes.operations(values, ("conv", "pool"))
    assert sizes.operations(["pool"], ("conv", "pool")) == ("pool",)
