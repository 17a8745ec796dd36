"""Evolution on inherited weights (Guo et al. 2020, https://arxiv.org/abs/1904.00420, Sec. 3.4, Alg. 1).

    generation 1: random children
    each further one:  n children of two of the k best so far (each choice from either),
                       m of one of the k best (each choice drawn anew with a small probability), the rest random
    no child twice; none that exceeds a limit

Each child has a bounded number of tries to be new and within the limits (`TRIES`). Where the space holds too few, a
generation is smaller, and when one would be empty the evolution ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from naslab.architecture import Architecture, Prefix
from naslab.errors import SpecError
from naslab.randomness import numpy_generator
from naslab.searchers.one_shot.training import OneShotHyperparameters
from naslab.spaces.space import Space

TRIES = 10
"""Tries to find a child of a generation, for each that is missing, as in the authors' code."""
FIRST_TRIES = 100
"""Tries to find the first child; there must be one, so they are more."""
Excess = tuple[float, str]
"""(cost / limit, explanation); above 1 the child is over the limit."""


class Child(NamedTuple):
    """A child to be evaluated."""

    choices: Prefix
    origin: str
    parents: tuple[int, ...]
    """Numbers of the children that it was made from."""


class Judged(NamedTuple):
    """An evaluated child. The better of two compares as smaller, and of equals the earlier, so `sorted` ranks them."""

    loss: float
    """The negative fitness."""
    number: int
    """Number by which other children name it as a parent."""
    choices: Prefix


class Evolution:
    """Evolution by ask and tell: `next` is the child to evaluate, `update` takes its fitness.

    Args:
        space: the space of the children.
        seed: seed of all randomness.
        given: sizes and rates.
        excess: returns (cost / limit, explanation) of an architecture; above 1 it is over the limit.
    """

    def __init__(
        self, space: Space, seed: int, given: OneShotHyperparameters, excess: Callable[[Architecture], Excess]
    ) -> None:
        self._space, self._seed, self._given, self._excess = space, seed, given, excess
        self.mutation_rate = given.mutation_rate
        self.generation = 1
        self.judged: list[Judged] = []
        self.ended = False
        """True if no further new child can be found."""
        self._known: set[Prefix] = set()
        first, rng = self._first(), numpy_generator(seed, "evolution", 1)
        self._next = [first, *self._random(given.population - 1, {self._key(first.choices)}, rng)]

    # --- ask and tell ----------------------------------------------------------------------------

    @property
    def next(self) -> Child:
        """The child to evaluate next."""
        return self._next[0]

    @property
    def coming(self) -> int:
        """Number of children of this generation that are not evaluated yet."""
        return len(self._next)

    @property
    def best(self) -> Judged | None:
        """The best evaluated child that has no forbidden option; None if there is none."""
        return min(filter(self._allows, self.judged), default=None)

    def offer(self, space: Space) -> None:
        """Take the next children from this space: the same, with more or fewer options.

        Waiting children with an option that is forbidden now are replaced by random ones.

        Raises:
            SpecError: no new architecture within the limits can be found.
        """
        self._space = space
        left = [child for child in self._next if self._allows(child)]
        if missing := len(self._next) - len(left):
            rng = numpy_generator(self._seed, "mask", len(self.judged))
            self._next = [*left, *self._random(missing, {self._key(child.choices) for child in left}, rng)]
            if not self._next:
                raise SpecError(
                    "no architecture is left that is new, within the limits, and not forbidden; forbid less"
                )

    def _allows(self, one: Child | Judged) -> bool:
        return self._space.allows(Architecture(self._space.name, one.choices))

    @property
    def left(self) -> int:
        """Largest number of children still to be evaluated."""
        given = self._given
        return len(self._next) + (0 if self.ended else (given.generations - self.generation) * given.population)

    def update(self, number: int, fitness: float) -> None:
        """Record the fitness of `next`, under a number that names it as a parent; breed if the generation ends."""
        child = self._next.pop(0)
        self._known.add(self._key(child.choices))
        self.judged.append(Judged(-fitness, number, child.choices))
        if not self._next and self.generation < self._given.generations:
            self.generation += 1
            self._next = self._breed()
            self.ended = not self._next

    # --- children --------------------------------------------------------------------------------

    def _first(self) -> Child:
        """Returns a random child within the limits. Raises `SpecError` if none of `FIRST_TRIES` is."""
        rng, least = numpy_generator(self._seed, "evolution", 0), (math.inf, "")
        for _ in range(FIRST_TRIES):
            drawn = self._space.sample(rng)
            least = min(least, self._excess(drawn))
            if least[0] <= 1:
                return Child(drawn.choices, "random", ())
        raise SpecError(
            f"none of {FIRST_TRIES} architectures drawn at random is within the limits; the cheapest has {least[1]}. "
            "Give a larger max_flops or max_parameters, or a space of smaller networks"
        )

    def _breed(self) -> list[Child]:
        """Returns the next generation: mutants, then children of two parents, then random ones (Alg. 1)."""
        given, rng = self._given, numpy_generator(self._seed, "evolution", self.generation)
        parents = sorted(self.judged)[: given.parents]
        taken: set[Prefix] = set()

        def one(judged: Judged) -> Architecture:
            return Architecture(self._space.name, judged.choices)

        def mutants() -> Iterator[Child]:
            while True:
                parent = parents[rng.integers(len(parents))]
                child = redrawn(self._space, one(parent), self.mutation_rate, rng)
                yield Child(child.choices, "mutation", (parent.number,))

        def crossed() -> Iterator[Child]:
            while True:
                first, second = (parents[i] for i in rng.integers(len(parents), size=2))
                child = self._space.crossover(one(first), one(second), rng)
                yield Child(child.choices, "crossover", tuple(dict.fromkeys((first.number, second.number))))

        bred = self._new(mutants(), given.mutations, taken) + self._new(crossed(), given.crossovers, taken)
        return bred + self._random(given.population - len(bred), taken, rng)

    def _key(self, choices: Prefix) -> Prefix:
        """Returns a key that is equal for children that are the same network, whatever their inactive choices."""
        return self._space.active(Architecture(self._space.name, choices)).choices

    def _random(self, count: int, taken: set[Prefix], rng: np.random.Generator) -> list[Child]:
        drawn = iter(lambda: Child(self._space.sample(rng).choices, "random", ()), None)
        return self._new(drawn, count, taken)

    def _new(self, drawn: Iterator[Child], count: int, taken: set[Prefix]) -> list[Child]:
        """Returns up to `count` of the drawn children that are new and within the limits; `taken` gets their keys."""
        found: list[Child] = []
        for child in islice(drawn, TRIES * count):
            if (key := self._key(child.choices)) in taken or key in self._known:
                continue
            if self._excess(Architecture(self._space.name, child.choices))[0] <= 1:
                taken.add(key)
                found.append(child)
                if len(found) == count:
                    break
        return found

    # --- state -----------------------------------------------------------------------------------

    def state_dict(self) -> Any:
        """JSON."""
        return [self.mutation_rate, self.generation, self.ended, self.judged, self._next]

    def load_state_dict(self, state: Any) -> None:
        """Take back what `state_dict` returned."""
        self.mutation_rate, self.generation, self.ended, judged, coming = state
        self.judged = [Judged(loss, number, tuple(choices)) for loss, number, choices in judged]
        self._next = [Child(tuple(choices), origin, tuple(parents)) for choices, origin, parents in coming]
        self._known = {self._key(judged.choices) for judged in self.judged}


def redrawn(space: Space, architecture: Architecture, rate: float, rng: np.random.Generator) -> Architecture:
    """Returns a mutant: each choice is redrawn with probability `rate`, or if its old option is not offered."""
    old = space.answers(architecture)
    taken: Prefix = ()
    while (choice := space.next_choice(taken)) is not None:
        value = old.get(choice.name)
        if rng.random() < rate or value is None or value not in choice.options:
            value = choice.options[rng.integers(len(choice.options))]
        taken = (*taken, value)
    return Architecture(space.name, taken)
