"""Which paths the shared weights are trained on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from naslab.architecture import Architecture
from naslab.randomness import numpy_generator
from naslab.searchers.settings import Steerable
from naslab.spaces.space import Space


class Paths(Steerable, ABC):
    """A sequence of paths, all of them functions of their number unless there is a memory.

    Args:
        space: what they are from.
        seed: of all of them.
    """

    together: int = 1
    """Paths whose gradients make one update of the weights; they see the same mini-batch."""

    def __init__(self, space: Space, seed: int) -> None:
        self.space, self.seed = space, seed

    def offer(self, space: Space) -> None:
        """Take the next paths from this space: the same, with more or fewer options."""
        self.space = space

    @abstractmethod
    def path(self, number: int) -> Architecture:
        """The path of a step, counted from 0; asked for one after the other."""

    @abstractmethod
    def memory(self) -> Any:
        """What the next path depends on beside its number, as JSON."""

    @abstractmethod
    def remember(self, memory: Any) -> None:
        """Take back what `memory` gave."""


class Uniform(Paths):
    """Each choice drawn uniformly among its options, anew for each path."""

    def path(self, number: int) -> Architecture:
        return self.space.sample(numpy_generator(self.seed, "path", number))

    def memory(self) -> None:
        """None is needed."""

    def remember(self, memory: None) -> None:
        """There is none."""
