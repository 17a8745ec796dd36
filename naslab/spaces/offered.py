"""The options that each choice of a space can have, found by walking its tree; and the error if none is left."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from naslab.architecture import Option, Prefix
from naslab.errors import SpecError
from naslab.spaces.space import Space

MAX_PREFIXES = 3000
"""Maximal number of prefixes that are visited, breadth first, to find the choices of a space."""
EXTRA_SAMPLES = 100
"""Random architectures that are walked in addition if that limit was reached; they find choices deep in the tree."""


def choices_of(space: Space) -> dict[str, tuple[Option, ...]]:
    """Returns name of each choice -> the union of its options over all prefixes.

    Exact for spaces with fixed choices and for small trees; otherwise the union over the `MAX_PREFIXES` shortest
    prefixes and `EXTRA_SAMPLES` random architectures, which may miss a rare choice.
    """
    found: dict[str, dict[Option, None]] = {}
    if (fixed := space.fixed_choices) is not None:
        return {choice.name: choice.options for choice in fixed}
    queue, seen = deque[Prefix]([()]), set[Any]()
    while queue and len(seen) < MAX_PREFIXES:
        prefix = queue.popleft()
        choice = space.next_choice(prefix)
        # Prefixes with the same future lead to the same choices, so that one of them is enough.
        if choice is None or (key := (space.future(prefix), len(prefix), choice)) in seen:
            continue
        seen.add(key)
        found.setdefault(choice.name, {}).update(dict.fromkeys(choice.options))
        queue.extend((*prefix, option) for option in choice.options)
    if queue:
        rng = np.random.default_rng(0)  # a fixed seed: the answer is a property of the space
        for _ in range(EXTRA_SAMPLES):
            for choice, _ in space.walk(space.sample(rng).choices):
                found.setdefault(choice.name, {}).update(dict.fromkeys(choice.options))
    return {name: tuple(options) for name, options in found.items()}


class LazyOptions(Mapping[str, tuple[Option, ...]]):
    """`choices_of(space)` as a mapping that is computed at the first access, since it can take a while."""

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
    """Earlier answers led to a choice all of whose options are forbidden. Internal: the caller draws again."""


def nothing_left(name: str, space: str, options: Sequence[Option], error: type[SpecError] = SpecError) -> SpecError:
    """Returns the error that names the choice without options; it is for the caller to raise."""
    return error(
        f"nothing would be left of the choice {name!r} of {space!r}, all of whose options are forbidden "
        f"({', '.join(map(str, options))}); leave at least one"
    )
