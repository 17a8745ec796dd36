"""Which options each choice of a space may come with, and what is said where none is left."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from naslab.architecture import Option, Prefix
from naslab.errors import SpecError
from naslab.spaces.space import Space

LOOKED_AT = 3000
"""Beginnings of architectures that are looked at, one after the other, to learn which choices there are."""
SAMPLED = 100
"""Architectures that are drawn to learn more, where that was not all."""


def choices_of(space: Space) -> dict[str, tuple[Option, ...]]:
    """Name of each choice -> every option that it is offered with, whatever was chosen before.

    Exact where the choices are fixed, or are few; else those that `LOOKED_AT` beginnings and `SAMPLED` random
    architectures have.
    """
    found: dict[str, dict[Option, None]] = {}
    if (fixed := space.fixed_choices) is not None:
        return {choice.name: choice.options for choice in fixed}
    ahead, seen = deque[Prefix]([()]), set[Any]()
    while ahead and len(seen) < LOOKED_AT:
        prefix = ahead.popleft()
        choice = space.next_choice(prefix)
        if choice is None or (key := (space.future(prefix), len(prefix), choice)) in seen:
            continue
        seen.add(key)
        found.setdefault(choice.name, {}).update(dict.fromkeys(choice.options))
        ahead.extend((*prefix, option) for option in choice.options)
    if ahead:
        rng = np.random.default_rng(0)
        for _ in range(SAMPLED):
            for choice, _ in space.walk(space.sample(rng).choices):
                found.setdefault(choice.name, {}).update(dict.fromkeys(choice.options))
    return {name: tuple(options) for name, options in found.items()}


class Offered(Mapping[str, tuple[Option, ...]]):
    """`choices_of` a space, found out when it is first asked for."""

    def __init__(self, space: Space) -> None:
        self._space = space

    @cached_property
    def _found(self) -> dict[str, tuple[Option, ...]]:
        return choices_of(self._space)

    def __getitem__(self, name: str) -> tuple[Option, ...]:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class DeadEnd(SpecError):
    """What was chosen before has led to a choice all of whose options are forbidden."""


def nothing_left(name: str, space: str, options: Sequence[Option], error: type[SpecError] = SpecError) -> SpecError:
    return error(
        f"nothing would be left of the choice {name!r} of {space!r}, all of whose options are forbidden "
        f"({', '.join(map(str, options))}); leave at least one"
    )
