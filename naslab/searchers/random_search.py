"""Random search (Bergstra & Bengio 2012, https://jmlr.org/papers/v13/bergstra12a.html), the baseline of others.

    repeat: sample an architecture, each choice uniformly among its options

Differences from the paper: none; architectures are drawn with replacement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from naslab.searchers.sampler import Sampler, Suggestion, Trial


@dataclass(frozen=True, kw_only=True)
class RandomSearchHyperparameters:
    """Random search has no hyperparameters."""


class RandomSearch(Sampler):
    """Random search on any space."""

    name = "random_search"
    Hyperparameters = RandomSearchHyperparameters

    def begin(self) -> None:
        """Does nothing: the only state is that of `rng`."""

    def propose(self) -> Suggestion:
        return Suggestion(self.space.sample(self.rng), "random")

    def learn(self, trial: Trial, fitness: float | None, metrics: Mapping[str, float]) -> None:
        """Does nothing: proposals do not depend on results."""

    def algorithm_state(self) -> Any:
        return None

    def load_algorithm_state(self, state: Any) -> None:
        """Does nothing: there is no state besides `rng`."""
