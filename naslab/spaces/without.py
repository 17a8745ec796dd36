"""A space with fewer options: what is forbidden at a choice is not offered there.

    Without(of, forbidden).next_choice(prefix)  =  of.next_choice(prefix), less the options forbidden at that choice

Everything that draws goes by `next_choice`, and so obeys: sampling, mutation, crossover, neighbours, enumeration, size,
and controllers. Everything that reads, builds or draws a picture is the whole space's: names, JSON, codes, graphs and
networks of an architecture are what they were, also of one that holds a forbidden option. As a parent such a one is
repaired: at the choices in question something else is taken, and all else kept wherever it is still legal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np

from naslab.architecture import Architecture, Choice, Option, Prefix
from naslab.errors import SpecError
from naslab.randomness import generator_of
from naslab.spaces.fixed_space import FixedSpace
from naslab.spaces.offered import DeadEnd, nothing_left
from naslab.spaces.space import Space
from naslab.spaces.subset import Subset
from naslab.spaces.wrapping import Wrapping

Forbidden = tuple[tuple[str, tuple[Option, ...]], ...]
"""(name of a choice, what is forbidden there), in the order of the names."""
TRIES = 20
"""Draws of a mutation of a space's own, until one is allowed."""
AGAIN = 200
"""Draws of an architecture whose beginning leads to a choice with no option left, until one does not."""


@dataclass(frozen=True)
class Without(Wrapping):
    """A space with fewer options. Made by `space.without(...)`, which checks what is forbidden."""

    name: ClassVar[str] = "without"
    """In a spec. The architectures are of the family of `of`, and so is the name of an instance."""

    of: Space
    """The whole space."""
    forbidden: Forbidden

    def __post_init__(self) -> None:
        for each in ("name", "reads", "gives", "has_inactive_choices"):
            object.__setattr__(self, each, getattr(self.of, each))

    def __getattr__(self, name: str) -> Any:
        """Whatever the whole space has besides: a supernet, a published form, moves. What makes architectures of its
        own accord, by derivation or by moves, obeys."""
        if name.startswith("_") or name in ("of", "forbidden"):
            raise AttributeError(name)
        found = getattr(self.of, name)
        return partial(_OBEYING[name], self) if name in _OBEYING else found

    def spec(self) -> dict[str, Any]:
        forbidden = {name: list(options) for name, options in self.forbidden}
        return {"space": Without.name, "of": self.of.spec(), "forbidden": forbidden}

    # --- what is offered -------------------------------------------------------------------------

    @cached_property
    def _not(self) -> dict[str, frozenset[Option]]:
        return {name: frozenset(options) for name, options in self.forbidden}

    @cached_property
    def _fewer(self) -> dict[Choice, Choice]:
        """A choice of the whole space -> the same with fewer options, of those met so far."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_fewer", "_kept")}

    def _less(self, choice: Choice) -> Choice:
        if (forbidden := self._not.get(choice.name)) is None:
            return choice
        if (fewer := self._fewer.get(choice)) is None:
            left = tuple(option for option in choice.options if option not in forbidden)
            if not left:
                raise nothing_left(choice.name, self.of.name, choice.options, DeadEnd)
            self._fewer[choice] = fewer = Choice(choice.name, left)
        return fewer

    def next_choice(self, prefix: Prefix) -> Choice | None:
        choice = self.of.next_choice(prefix)
        return None if choice is None else self._less(choice)

    def future(self, prefix: Prefix) -> Any:
        """All of the prefix: two beginnings that the whole space goes on from alike may do so by choices of other
        names, and by its name an option is forbidden."""
        return prefix

    @property
    def fixed_choices(self) -> Any:
        """Those of the whole space, with fewer options; None where it has none."""
        fixed = self.of.fixed_choices
        return None if fixed is None else tuple(map(self._less, fixed))

    def allows(self, architecture: Architecture) -> bool:
        return not any(
            value in self._not[choice.name]
            for choice, value in self.of.walk(architecture.choices)
            if choice.name in self._not
        )

    def repaired(self, architecture: Architecture, rng: np.random.Generator | int | None = None) -> Architecture:
        if self.allows(architecture):
            return architecture
        answers = self.of.answers(architecture)
        if rng is None:
            with suppress(DeadEnd):
                return self._complete((), answers, None)
        return self._redrawn(answers, generator_of(0 if rng is None else rng))

    def __contains__(self, architecture: object) -> bool:
        return architecture in self.of and self.allows(architecture)  # type: ignore[arg-type]

    # --- ways about it ---------------------------------------------------------------------------

    def _again(
        self,
        draw: Callable[[Mapping[str, Option]], Architecture],
        wished: Mapping[str, Option],
        rng: np.random.Generator,
        unlike: Architecture | None = None,
    ) -> Architecture:
        """What is drawn with the wished answers; where they lead to a dead end, with ever fewer of them."""
        kept = wished
        for tried in range(AGAIN):
            with suppress(DeadEnd):
                if (drawn := draw(kept)) != unlike:
                    return drawn
            kept = {name: value for name, value in wished.items() if rng.random() * AGAIN > tried}
        return draw(kept)

    def sample(self, rng: np.random.Generator | int) -> Architecture:
        rng = generator_of(rng)
        return self._again(lambda _: super(Without, self).sample(rng), {}, rng)

    def mutate_each(self, architecture: Architecture, rate: float, rng: np.random.Generator | int) -> Architecture:
        rng = generator_of(rng)
        try:
            return super().mutate_each(architecture, rate, rng)
        except DeadEnd:
            return self._redrawn(self.of.answers(architecture), rng, architecture)

    def crossover(self, first: Architecture, second: Architecture, rng: np.random.Generator | int) -> Architecture:
        rng = generator_of(rng)
        try:
            return super().crossover(first, second, rng)
        except DeadEnd:
            return self._redrawn(self.of.answers(second) | self.of.answers(first), rng)

    def _redrawn(
        self, wished: Mapping[str, Option], rng: np.random.Generator, unlike: Architecture | None = None
    ) -> Architecture:
        """As wished wherever that is allowed, else at random."""
        return self._again(lambda kept: self._complete((), kept, rng), wished, rng, unlike)

    def enumerate(self) -> Iterator[Architecture]:
        """Every architecture that is allowed, once. Of those that are the same network the first: what stands for them
        all (`canonical`) may hold what is forbidden."""
        if not self.has_inactive_choices:
            yield from filter(self.allows, self.of.enumerate())
            return
        known: set[Architecture] = set()
        for architecture in filter(self.allows, self.of._all()):
            if (one := self.active(architecture)) not in known:
                known.add(one)
                yield architecture

    @property
    def size(self) -> int:  # type: ignore[override]
        """How many there are, counted one by one."""
        return sum(1 for _ in self.enumerate())

    def mutate(self, architecture: Architecture, rng: np.random.Generator | int) -> Architecture:
        """As the whole space mutates, if that is soon allowed; else one choice changed."""
        rng = generator_of(rng)
        self._check_family(architecture)
        if type(self.of).mutate not in (Space.mutate, FixedSpace.mutate) and self.allows(architecture):
            for _ in range(TRIES):
                if self.allows(child := self.of.mutate(architecture, rng)):
                    return child
        places = self._open(architecture)
        if not places:
            raise self._single()
        return self._with_another(architecture, places[rng.integers(len(places))], rng)

    def mutate_node_first(self, architecture: Architecture, rng: np.random.Generator | int) -> Architecture:
        rng = generator_of(rng)
        self._check_family(architecture)
        nodes: dict[str, list[tuple[str, list[Option]]]] = {}
        for place in self._open(architecture):
            nodes.setdefault(place[0].rpartition("/")[0], []).append(place)
        if not nodes:
            raise self._single()
        of_node = list(nodes.values())[rng.integers(len(nodes))]
        return self._with_another(architecture, of_node[rng.integers(len(of_node))], rng)

    def _open(self, architecture: Architecture) -> list[tuple[str, list[Option]]]:
        """Each choice of an architecture for which something else is offered, by name, and that."""
        found = []
        for choice, value in self.of.walk(architecture.choices):
            forbidden = self._not.get(choice.name, ())
            if others := [option for option in choice.options if option != value and option not in forbidden]:
                found.append((choice.name, others))
        return found

    def _with_another(
        self, architecture: Architecture, place: tuple[str, list[Option]], rng: np.random.Generator
    ) -> Architecture:
        name, options = place
        wished = {**self.of.answers(architecture), name: options[rng.integers(len(options))]}
        return self._redrawn(wished, rng, architecture)

    def _single(self) -> SpecError:
        return SpecError(f"{self.of.name} holds a single architecture that is allowed: there is nothing to mutate")

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """Those of the architecture; of one that holds a forbidden option, the repaired one and its neighbours."""
        self._check_family(architecture)
        here = self.repaired(architecture)
        if here != architecture:
            yield here
        walked = [(self._less(choice), value) for choice, value in self.of.walk(here.choices)]
        kept, old = {choice.name: value for choice, value in walked}, tuple(value for _, value in walked)
        for position, (choice, value) in enumerate(walked):
            for option in choice.options:
                if option != value:
                    with suppress(DeadEnd):
                        yield self._complete((*old[:position], option), kept, None)

    # --- what the whole space knows --------------------------------------------------------------

    def walk(self, choices: Sequence[Option]) -> Iterator[tuple[Choice, Option]]:
        return self.of.walk(choices)

    def architecture(self, choices: Sequence[Option] | Mapping[str, Option]) -> Architecture:
        return self.of.architecture(choices)

    def canonical(self, architecture: Architecture) -> Any:
        return self.of.canonical(architecture)


# --- what else makes architectures -------------------------------------------------------------------


def _discretize(space: Without, weights: Mapping[str, np.ndarray]) -> Architecture:
    """What the whole space derives; where that is forbidden, the allowed option with the largest weights instead."""
    whole: Any = space.of
    derived: Architecture = whole.discretize(weights)
    if space.allows(derived):
        return derived

    def strength(architecture: Architecture) -> float:
        return sum(float((matrix * weights[part]).sum()) for part, matrix in whole.one_hot(architecture).items())

    answers = space.of.answers(derived)
    for name in list(answers):
        if answers.get(name) not in space._not.get(name, ()):
            continue
        tried = [space._complete((), {**answers, name: option}, None) for option in space.offered[name]]
        answers = space.of.answers(max(tried, key=strength))
    return space._complete((), answers, None)


def _start(space: Without) -> Architecture:
    whole: Any = space.of
    return space.repaired(whole.start())


def _move(space: Without, architecture: Architecture, name: str, rng: np.random.Generator | int) -> Architecture | None:
    """The move of the whole space, repaired; None where that leads nowhere else."""
    whole: Any = space.of
    rng = generator_of(rng)
    moved = whole.move(architecture, name, rng)
    if moved is not None:
        moved = space.repaired(moved, rng)
    return None if moved == architecture else moved


_OBEYING: dict[str, Any] = {"discretize": _discretize, "start": _start, "move": _move}
"""What a space may have besides, and what takes its place."""


# --- spaces with quick ways of their own -------------------------------------------------------------


@dataclass(frozen=True)
class WithoutFixed(Without, FixedSpace):
    """Where no choice depends on earlier answers, with the quick ways of such spaces."""

    def each_choice(self) -> Iterable[Choice]:
        return map(self._less, self.of.fixed_choices or ())

    def sample(self, rng: np.random.Generator | int) -> Architecture:
        return FixedSpace.sample(self, rng)

    @cached_property
    def size(self) -> int:  # type: ignore[override]
        if self.has_inactive_choices:
            return sum(1 for _ in self.enumerate())
        return math.prod(len(choice.options) for choice in self._choices)

    @property
    def fixed_choices(self) -> tuple[Choice, ...]:
        return self._choices

    def next_choice(self, prefix: Prefix) -> Choice | None:
        return FixedSpace.next_choice(self, prefix)

    def future(self, prefix: Prefix) -> int:
        return FixedSpace.future(self, prefix)

    @cached_property
    def _places(self) -> tuple[tuple[int, frozenset[Option]], ...]:
        """Where something is forbidden, and what."""
        names = [choice.name for choice in self.of.fixed_choices or ()]
        return tuple((place, self._not[name]) for place, name in enumerate(names) if name in self._not)

    def allows(self, architecture: Architecture) -> bool:
        choices = architecture.choices
        return not any(choices[place] in forbidden for place, forbidden in self._places if place < len(choices))

    def mutate(self, architecture: Architecture, rng: np.random.Generator | int) -> Architecture:
        if type(self.of).mutate is not FixedSpace.mutate:
            return super().mutate(architecture, rng)
        self._check_family(architecture)
        if self.allows(architecture):
            return FixedSpace.mutate(self, architecture, rng)
        return super().mutate(architecture, rng)


@dataclass(frozen=True)
class WithoutSubset(Without):
    """What is listed and holds nothing forbidden; in place of one that does stands the nearest of those."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self._rows:
            raise SpecError(f"nothing would be left of the {self._list.size} architectures that are listed")

    @property
    def _list(self) -> Subset:
        return self.of  # type: ignore[return-value]

    @cached_property
    def _rows(self) -> tuple[Prefix, ...]:
        return tuple(row.choices for row in self._list.enumerate() if self.allows(row))

    @cached_property
    def _left(self) -> Subset:
        """What is left, as a list of its own."""
        return Subset(self._list.of, self._rows, self._list.nearest)

    def next_choice(self, prefix: Prefix) -> Choice | None:
        return self._left.next_choice(prefix)

    @property
    def size(self) -> int:  # type: ignore[override]  # what is counted elsewhere is known here
        return len(self._rows)

    def enumerate(self) -> Iterator[Architecture]:
        return self._left.enumerate()

    def sample(self, rng: np.random.Generator | int) -> Architecture:
        return self._left.sample(rng)

    def repaired(self, architecture: Architecture, rng: np.random.Generator | int | None = None) -> Architecture:
        """The nearest that is allowed; of equally near ones the first."""
        return architecture if self.allows(architecture) else self._left.nearest_to(self.of.check(architecture))

    def mutate(self, architecture: Architecture, rng: np.random.Generator | int) -> Architecture:
        here = self.repaired(self.of.check(architecture))
        return here if here != architecture else self._left.mutate(here, rng)

    def mutate_node_first(self, architecture: Architecture, rng: np.random.Generator | int) -> Architecture:
        return self.mutate(architecture, rng)

    def mutate_each(self, architecture: Architecture, rate: float, rng: np.random.Generator | int) -> Architecture:
        return self._left.mutate_each(self.repaired(self.of.check(architecture)), rate, rng)

    def crossover(self, first: Architecture, second: Architecture, rng: np.random.Generator | int) -> Architecture:
        return self._left.nearest_to(self._list.of.crossover(self.of.check(first), self.of.check(second), rng))

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        here = self.repaired(self.of.check(architecture))
        if here != architecture:
            yield here
        yield from self._left.neighbours(here)
