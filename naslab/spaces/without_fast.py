"""Restricted spaces with faster methods than `Without`: of spaces with fixed choices, and of lists."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from naslab.architecture import Architecture, Choice, Option, Prefix
from naslab.errors import SpecError
from naslab.spaces.fixed_space import FixedSpace
from naslab.spaces.subset import Subset
from naslab.spaces.without import Without


@dataclass(frozen=True)
class WithoutFixed(Without, FixedSpace):
    """A restricted `FixedSpace`, with the fast methods of such spaces. It has no dead ends."""

    def each_choice(self) -> Iterable[Choice]:
        return map(self._reduced, self.of.fixed_choices or ())

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
        """(position of a choice, its forbidden options)."""
        names = [choice.name for choice in self.of.fixed_choices or ()]
        return tuple(
            (place, self._forbidden_options[name])
            for place, name in enumerate(names)
            if name in self._forbidden_options
        )

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
    """The allowed architectures of a `Subset`; a forbidden one is repaired by the nearest allowed one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self._remaining_rows:
            raise SpecError(f"nothing would be left of the {self._list.size} architectures that are listed")

    @property
    def _list(self) -> Subset:
        return self.of  # type: ignore[return-value]

    @cached_property
    def _remaining_rows(self) -> tuple[Prefix, ...]:
        return tuple(row.choices for row in self._list.enumerate() if self.allows(row))

    @cached_property
    def _remaining(self) -> Subset:
        """The allowed architectures, as a list of their own."""
        return Subset(self._list.of, self._remaining_rows, self._list.nearest)

    def next_choice(self, prefix: Prefix) -> Choice | None:
        return self._remaining.next_choice(prefix)

    @property
    def size(self) -> int:  # type: ignore[override]  # a property, since nothing need be counted and cached
        return len(self._remaining_rows)

    def enumerate(self) -> Iterator[Architecture]:
        return self._remaining.enumerate()

    def sample(self, rng: np.random.Generator | int) -> Architecture:
        return self._remaining.sample(rng)

    def repaired(self, architecture: Architecture, rng: np.random.Generator | int | None = None) -> Architecture:
        """Returns the nearest allowed architecture; among equally near ones the first. `rng` is not used."""
        return architecture if self.allows(architecture) else self._remaining.nearest_to(self.of.check(architecture))

    def mutate(self, architecture: Architecture, rng: np.random.Generator | int) -> Architecture:
        here = self.repaired(self.of.check(architecture))
        return here if here != architecture else self._remaining.mutate(here, rng)

    def mutate_node_first(self, architecture: Architecture, rng: np.random.Generator | int) -> Architecture:
        return self.mutate(architecture, rng)

    def mutate_each(self, architecture: Architecture, rate: float, rng: np.random.Generator | int) -> Architecture:
        return self._remaining.mutate_each(self.repaired(self.of.check(architecture)), rate, rng)

    def crossover(self, first: Architecture, second: Architecture, rng: np.random.Generator | int) -> Architecture:
        return self._remaining.nearest_to(self._list.of.crossover(self.of.check(first), self.of.check(second), rng))

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        here = self.repaired(self.of.check(architecture))
        if here != architecture:
            yield here
        yield from self._remaining.neighbours(here)
