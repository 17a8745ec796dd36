"""Strict fairness (Chu et al. 2021, https://arxiv.org/abs/1907.01845, Sec. 3.2)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.randomness import numpy_generator
from naslab.searchers.one_shot.paths import Paths
from naslab.spaces.space import Space


class Fair(Paths):
    """m paths an update, so that every option of every choice gets as many gradients as any other of that choice.

    m is the largest number of options that a choice has. Each choice goes through its options in a random order, then
    in another one, and so on, without a break; with m options it so takes each exactly once an update. A choice with
    fewer takes them equally often over time: at no moment has one been taken twice more often than another.
    """

    def __init__(self, space: Space, seed: int) -> None:
        super().__init__(space, seed)
        if space.fixed_choices is None:
            raise SpecError(
                f"strict fairness needs a space where the same is chosen in every architecture; in {space.name!r} "
                "later choices depend on earlier ones. Take another space, or SPOS"
            )
        self.offer(space)
        self.together = max(map(len, self._options))

    def offer(self, space: Space) -> None:
        """With fewer options those left come oftener; an update has as many paths as before."""
        super().offer(space)
        self._options = [choice.options for choice in space.fixed_choices or ()]

    @property
    def strict(self) -> bool:
        """Whether every option gets exactly as many gradients in each update as any other of its choice."""
        return all(self.together % len(options) == 0 for options in self._options)

    def path(self, number: int) -> Architecture:
        taken = []
        for place, options in enumerate(self._options):
            order, position = divmod(number, len(options))
            taken.append(options[_order(self.seed, place, order, len(options))[position]])
        return Architecture(self.space.name, tuple(taken))

    def state_dict(self) -> None:
        """None is needed."""

    def load_state_dict(self, state: None) -> None:
        """There is none."""


@lru_cache(maxsize=1024)  # the paths of an update share them
def _order(seed: int, place: int, order: int, options: int) -> np.ndarray:
    return numpy_generator(seed, "fair", place, order).permutation(options)
