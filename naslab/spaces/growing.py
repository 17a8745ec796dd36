"""Spaces that are searched by moves: a search begins with a tiny network and grows it step by step.

Such a space names its first architecture (`start`) and its `moves`. The functions below let a searcher treat any other
space the same way, with a random start and mutation as the only move.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.spaces.space import Space


@runtime_checkable
class Growing(Protocol):
    """A space that defines its own moves."""

    @property
    def moves(self) -> tuple[str, ...]:
        """Names of the moves."""
        ...

    def start(self) -> Architecture:
        """Returns the architecture that a search begins with."""
        ...

    def move(self, architecture: Architecture, name: str, rng: np.random.Generator | int) -> Architecture | None:
        """Returns the architecture after a random move of that kind; None if no such move is possible."""
        ...


def moves(space: Space) -> tuple[str, ...]:
    """Returns the names of the moves of any space."""
    return space.moves if isinstance(space, Growing) else ("mutation",)


def start(space: Space, rng: np.random.Generator | int) -> Architecture:
    """Returns the first architecture of a search in any space; random if the space names none."""
    return space.start() if isinstance(space, Growing) else space.sample(rng)


def move(space: Space, architecture: Architecture, name: str, rng: np.random.Generator | int) -> Architecture | None:
    """Returns the architecture after a move in any space; see `Growing.move`."""
    if isinstance(space, Growing):
        return space.move(architecture, name, rng)
    try:
        return space.mutate(architecture, rng)
    except SpecError:
        space.check(architecture)  # raises again if the architecture was at fault
        return None  # the space holds a single architecture
