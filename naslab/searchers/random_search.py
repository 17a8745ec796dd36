"""Random search (Bergstra & Bengio 2012, https://jmlr.org/papers/v13/bergstra12a.html): what others are compared with.

    repeat: an architecture, each choice drawn uniformly among its options

Differences from the paper: none; architectures are drawn with replacement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from naslab.searchers.sampler import Sampler, Suggestion, Trial


@dataclass(frozen=True, kw_only=True)
class RandomSearchHyperparameters:
    """There are none."""


class RandomSearch(Sampler):
    """Random search on any space."""

    name = "random_search"
    Hyperparameters = RandomSearchHyperparameters

    def begin(self) -> None:
        """It has no state but the generator's."""

    def propose(self) -> Suggestion:
        return Suggestion(self.space.sample(self.rng), "random")

    def learn(self, trial: Trial, fitness: float | None, metrics: Mapping[str, float]) -> None:
        """It learns nothing."""

    def algorithm_state(self) -> Any:
        return None

    def load_algorithm_state(self, state: Any) -> None:
        """There is nothing to remember."""
