"""Samplers of the paths on which the shared weights are trained."""

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
    """A sequence of paths. A path is a function of its number and, for some samplers, of the paths before it.

    Args:
        space: the space of the paths.
        seed: seed of all randomness.
    """

    together: int = 1
    """Number of paths whose gradients are summed for one update of the weights, all on the same mini-batch."""

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
        """Returns the path of a step, counted from 0; called for one step after the other."""

    @abstractmethod
    def state_dict(self) -> Any:
        """Returns as JSON what the next path depends on besides its number."""

    @abstractmethod
    def load_state_dict(self, state: Any) -> None:
        """Take back what `state_dict` returned."""


class Uniform(Paths):
    """Independent paths, each choice drawn uniformly from its options (SPOS, Guo et al. 2020, Sec. 3.2)."""

    def path(self, number: int) -> Architecture:
        return self.space.sample(numpy_generator(self.seed, "path", number))

    def state_dict(self) -> None:
        """None is needed."""

    def load_state_dict(self, state: None) -> None:
        """There is none."""
