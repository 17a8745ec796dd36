"""Spaces whose choices do not depend on earlier answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np

from naslab.architecture import Architecture, Choice, Option, Prefix
from naslab.errors import SpecError
from naslab.randomness import generator_of, uniforms
from naslab.spaces.space import Space

MOST_KEPT = 2**14
"""Architectures that a space keeps, so as not to make them again; NAS-Bench-201 has 15,625."""


class FixedSpace(Space):
    """A space whose choices do not depend on earlier answers. Subclasses say `each_choice` instead of `next_choice`,
    and get quick ways of `sample` and `mutate`, and a size that is a product."""

    @abstractmethod
    def each_choice(self) -> Iterable[Choice]:
        """All choices, in order; asked for once."""

    @property
    def fixed_choices(self) -> tuple[Choice, ...]:
        return self._choices

    @cached_property
    def _choices(self) -> tuple[Choice, ...]:
        choices = tuple(self.each_choice())
        names: set[str] = set()
        for choice in choices:
            self._check_name(choice, names)
        return choices

    def next_choice(self, prefix: Prefix) -> Choice | None:
        return self._choices[len(prefix)] if len(prefix) < len(self._choices) else None

    def future(self, prefix: Prefix) -> int:
        """How many choices are made."""
        return len(prefix)

    @cached_property
    def _offered(self) -> tuple[tuple[Option, ...], ...]:
        """The options of each choice."""
        return tuple(choice.options for choice in self._choices)

    @cached_property
    def _others(self) -> tuple[tuple[dict[Option, tuple[Option, ...]], ...], tuple[int, ...]]:
        """For each choice, option -> those that come after it, round to the one before it; and the places of the
        choices with more than one option."""
        others = tuple(
            {option: (*offered[place + 1 :], *offered[:place]) for place, option in enumerate(offered)}
            for offered in self._offered
        )
        return others, tuple(place for place, offered in enumerate(self._offered) if len(offered) > 1)

    @cached_property
    def _owned(self) -> tuple[dict[Option, Option], ...]:
        """Choice -> {a value equal to an option: the option itself}."""
        return tuple({option: option for option in offered} for offered in self._offered)

    @cached_property
    def _kept(self) -> dict[Prefix, Architecture]:
        """Choices -> the architecture, of the first that were made."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_kept"}

    def sample(self, rng: np.random.Generator | int) -> Architecture:
        """The same without asking choice by choice."""
        offered = self._offered
        drawn = uniforms(generator_of(rng), len(offered))
        return self._made(tuple([options[int(u * len(options))] for options, u in zip(offered, drawn, strict=True)]))

    def mutate(self, architecture: Architecture, rng: np.random.Generator | int) -> Architecture:
        """The same without a walk, in a tenth of the time."""
        offered, (others, places) = self._offered, self._others
        self._check_family(architecture)
        if known := self._kept.get(architecture.choices):
            old = known.choices
        else:
            found = tuple(map(dict.get, self._owned, architecture.choices))
            if len(architecture.choices) != len(offered) or None in found:
                self.check(architecture)  # which says what is wrong
            old: Prefix = found  # type: ignore[assignment]
        if not places:
            raise SpecError(f"{self.name} holds a single architecture: there is nothing to mutate")
        first, second = uniforms(generator_of(rng), 2)
        place = places[int(first * len(places))]
        options = others[place][old[place]]
        return self._made((*old[:place], options[int(second * len(options))], *old[place + 1 :]))

    def _made(self, choices: Prefix) -> Architecture:
        """The architecture with these choices, which are legal; of a small space the same object every time."""
        if (architecture := self._kept.get(choices)) is None:
            architecture = Architecture(self.name, choices)
            if len(self._kept) < MOST_KEPT:
                self._kept[choices] = architecture
        return architecture
