"""Spaces that grow: a search begins with next to nothing, and moves step by step to what is larger.

Such a space says where to begin and which moves there are. Any other space takes its place with a random beginning and
one move, a mutation; so whoever searches by moves searches every space.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.spaces.space import Space


@runtime_checkable
class Growing(Protocol):
    """A space with moves of its own."""

    @property
    def moves(self) -> tuple[str, ...]:
        """The names of the moves."""
        ...

    def start(self) -> Architecture:
        """Where a search begins."""
        ...

    def move(self, architecture: Architecture, name: str, rng: np.random.Generator | int) -> Architecture | None:
        """The architecture after a move of that name, drawn at random; None where there is none."""
        ...


def moves(space: Space) -> tuple[str, ...]:
    return space.moves if isinstance(space, Growing) else ("mutation",)


def start(space: Space, rng: np.random.Generator | int) -> Architecture:
    return space.start() if isinstance(space, Growing) else space.sample(rng)


def move(space: Space, architecture: Architecture, name: str, rng: np.random.Generator | int) -> Architecture | None:
    """See `Growing.move`."""
    if isinstance(space, Growing):
        return space.move(architecture, name, rng)
    try:
        return space.mutate(architecture, rng)
    except SpecError:
        space.check(architecture)
        return None  # it is the only one
