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
    """m paths for each update, so that all options of a choice get the same number of gradients.

    m is the largest number of options that a choice has. Each choice goes through its options in a random order, then
    in another one, and so on; a choice with m options so takes each exactly once in an update. One with fewer takes
    them equally often over time: the numbers of times that two of them were taken never differ by more than one.
    """

    def __init__(self, space: Space, seed: int) -> None:
        super().__init__(space, seed)
        if space.fixed_choices is None:
            raise SpecError(
                f"strict fairness needs a space whose architectures all have the same choices; in {space.name!r} "
                "later choices depend on earlier ones. Take another space, or SPOS"
            )
        self.offer(space)
        self.together = max(map(len, self._options))

    def offer(self, space: Space) -> None:
        """Take the next paths from this space; the number of paths for each update stays."""
        super().offer(space)
        self._options = [choice.options for choice in space.fixed_choices or ()]

    @property
    def strict(self) -> bool:
        """True if all options of a choice get the same number of gradients in each update."""
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
    """Returns the order in which a choice takes its options for the `order`-th time, a permutation [options]."""
    return numpy_generator(seed, "fair", place, order).permutation(options)
