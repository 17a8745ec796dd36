"""Local search (White, Nolen & Savani 2021, https://arxiv.org/abs/2005.02960, with the first improvement).

    repeat: here <- a random architecture
            while there is one: here <- the first of its neighbours, in random order, that is fitter
            (a local optimum: all neighbours are known, and none is fitter)

Differences from the paper's Alg. 1:
- It moves to the first neighbour that is fitter; the paper looks at all neighbours and moves to the fittest, which
  spends more queries a step.
- An architecture whose fitness is known is not evaluated again, and no search starts from it: where that would lead is
  known, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from naslab.architecture import Architecture, Option
from naslab.searchers.sampler import Sampler, Suggestion, Trial

KNOWN_STARTS = 1000
"""After this many starts that are known already, a known one is accepted: the space may be exhausted."""


@dataclass(frozen=True, kw_only=True)
class LocalSearchHyperparameters:
    """Local search has no hyperparameters."""


class Visited(NamedTuple):
    """Result of an evaluated architecture."""

    fitness: float
    number: int
    """Number of its trial."""


class LocalSearch(Sampler):
    """Local search with restarts on any space."""

    name = "local_search"
    Hyperparameters = LocalSearchHyperparameters

    def begin(self) -> None:
        self._known: dict[tuple[Option, ...], Visited | None] = {}
        """Choices of each evaluated architecture -> its fitness and number; None for one that failed."""
        self._here: Visited | None = None
        self._ahead: list[Architecture] = []
        """Neighbours of the present architecture that are still to be visited, the next one last."""

    def propose(self) -> Suggestion:
        while self._here is not None and self._ahead:
            architecture = self._ahead.pop()
            if self._key(architecture) not in self._known:
                return Suggestion(architecture, "neighbour", (self._here.number,))
            self._look(architecture)
        self._here = None
        start = self.space.sample(self.rng)
        for _ in range(KNOWN_STARTS):
            if self._key(start) not in self._known:
                break
            start = self.space.sample(self.rng)
        return Suggestion(start, "random")

    def learn(self, trial: Trial, fitness: float | None, metrics: Mapping[str, float]) -> None:
        visited = None if fitness is None else Visited(fitness, trial.number)
        self._known[self._key(trial.architecture)] = visited
        self._look(trial.architecture)

    def _key(self, architecture: Architecture) -> tuple[Option, ...]:
        """Returns the choices without inactive ones, which are equal for architectures that are the same network."""
        return self.space.active(architecture).choices

    def _look(self, architecture: Architecture) -> None:
        """Moves to an evaluated architecture if it is fitter than the present one."""
        visited = self._known[self._key(architecture)]
        if visited is not None and (self._here is None or visited.fitness > self._here.fitness):
            neighbours = list(self.space.neighbours(architecture))
            self._here = visited
            self._ahead = [neighbours[position] for position in self.rng.permutation(len(neighbours)).tolist()]

    def algorithm_state(self) -> Any:
        known = [[choices, visited] for choices, visited in self._known.items()]
        return [known, self._here, [architecture.choices for architecture in self._ahead]]

    def load_algorithm_state(self, state: Any) -> None:
        known, here, ahead = state
        self._known = {tuple(choices): visited and Visited(*visited) for choices, visited in known}
        self._here = here and Visited(*here)
        self._ahead = [Architecture(self.space.name, tuple(choices)) for choices in ahead]
