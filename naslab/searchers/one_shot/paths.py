"""Which paths the shared weights are trained on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from naslab.architecture import Architecture
from naslab.lazy import keep_old_hooks
from naslab.randomness import numpy_generator
from naslab.searchers.settings import Steerable
from naslab.spaces.space import Space

HOOKS = {"memory": "state_dict", "remember": "load_state_dict"}
"""Earlier name -> name of the methods that a subclass of `Paths` overrides."""


class Paths(Steerable, ABC):
    """A sequence of paths, all of them functions of their number unless there is a memory.

    Args:
        space: what they are from.
        seed: of all of them.
    """

    together: int = 1
    """Paths whose gradients make one update of the weights; they see the same mini-batch."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        keep_old_hooks(cls, HOOKS)

    def __init__(self, space: Space, seed: int) -> None:
        self.space, self.seed = space, seed

    def offer(self, space: Space) -> None:
        """Take the next paths from this space: the same, with more or fewer options."""
        self.space = space

    @abstractmethod
    def path(self, number: int) -> Architecture:
        """The path of a step, counted from 0; asked for one after the other."""

    @abstractmethod
    def state_dict(self) -> Any:
        """What the next path depends on beside its number, as JSON."""

    @abstractmethod
    def load_state_dict(self, state: Any) -> None:
        """Take back what `state_dict` returned."""


class Uniform(Paths):
    """Each choice drawn uniformly among its options, anew for each path."""

    def path(self, number: int) -> Architecture:
        return self.space.sample(numpy_generator(self.seed, "path", number))

    def state_dict(self) -> None:
        """None is needed."""

    def load_state_dict(self, state: None) -> None:
        """There is none."""
