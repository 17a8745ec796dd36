"""Regularized evolution (Real, Aggarwal, Huang & Le 2019, https://arxiv.org/abs/1802.01548, Alg. 1).

    population <- P random architectures
    repeat: parent <- fittest of S drawn at random from the population, with replacement
            child  <- mutate(parent);  add child;  remove the *oldest*

A plain version of this loop: `naslab.reference.evolution`.

The first ones may be given instead, `first=...`: what is known to be good, or what looks good at no cost (AREA, see
`naslab.searchers.zero_cost_warm_start`).

Differences from the paper:
- No identity mutation, so that a child is never its parent again.
- An architecture that could not be evaluated does not join the population.
- A mutation changes any choice alike. That of the authors of NAS-Bench-201 (https://github.com/D-X-Y/AutoDL-Projects,
  exps/NATS-algos/regularized_ea.py) draws a node first: `mutation="node_first"`. With 100 queries it finds cells that
  are 0.03 to 0.13 points worse there.
"""

from __future__ import annotations

import functools
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from naslab.architecture import Architecture, Option
from naslab.errors import SpecError, among, unknown, whole
from naslab.fields import settle
from naslab.randomness import uniforms
from naslab.searchers.beginning import choices_of
from naslab.searchers.sampler import Suggestion, Trial
from naslab.searchers.settings import Setting, Slider
from naslab.searchers.signatures import attribute_docstrings
from naslab.searchers.tended import Tended

MUTATIONS = {"choice": "mutate", "node_first": "mutate_node_first"}
"""Name of a mutation -> the method of a space."""


@dataclass(frozen=True, kw_only=True)
class RegularizedEvolutionHyperparameters:
    """Defaults are those of the paper's large-scale search (section 3.4: P = 100, S = 25)."""

    population: int = 100
    """How many architectures are alive."""
    sample: int = 25
    """How many are drawn for a tournament, whose fittest becomes the parent."""
    first: tuple[tuple[Option, ...], ...] = ()
    """Architectures, or their choices, that the population begins with; random ones follow until it is complete."""
    mutation: str = "choice"
    """What is drawn to be changed: "choice", any choice alike, or "node_first", a node and then one of its choices (the
    authors of NAS-Bench-201; there the edge into node 1 is changed three times as often as one into node 3)."""

    def __post_init__(self) -> None:
        settle(self)
        for name in ("population", "sample"):
            object.__setattr__(self, name, whole(name, getattr(self, name), 1, sys.maxsize))
        if self.sample > self.population:
            raise SpecError(f"sample must be at most the population, {self.population}, not {self.sample}")
        object.__setattr__(self, "first", choices_of(self.first, self.population))
        if not among(self.mutation, MUTATIONS):
            raise SpecError(unknown("mutation", self.mutation, MUTATIONS))


class Member(NamedTuple):
    """An architecture that is alive; the fitter of two is the greater, of equals the younger."""

    fitness: float
    number: int
    """Of its trial."""
    architecture: Architecture


@functools.cache
def _sample_slider(sample: int, population: int) -> Slider:
    """Each trial asks for it."""
    about = attribute_docstrings(RegularizedEvolutionHyperparameters)["sample"]
    return Slider(value=sample, low=1, high=population, log=False, whole=True, description=about)


class RegularizedEvolution(Tended):
    """Aging evolution on any space."""

    name = "regularized_evolution"
    Hyperparameters = RegularizedEvolutionHyperparameters
    Member = Member

    def begin(self) -> None:
        super().begin()
        self._sample: int = self.hyperparameters.sample
        self._first = [self.space.architecture(choices) for choices in self.hyperparameters.first]
        self._alive: deque[Member] = deque(maxlen=self.hyperparameters.population)
        self.remasked()

    def remasked(self) -> None:
        self._mutate = getattr(self.space, MUTATIONS[self.hyperparameters.mutation])

    def propose(self) -> Suggestion:
        alive = self._alive
        size = len(alive)
        if self.asked < len(self._first):
            return Suggestion(self._first[self.asked], "first")
        if added := self._next_added():
            return added
        if size < self.hyperparameters.population:
            return Suggestion(self.space.sample(self.rng), "random")
        parent = max([alive[int(u * size)] for u in uniforms(self.rng, self._sample)])
        return Suggestion(self._mutate(parent.architecture, self.rng), "mutation", (parent.number,))

    def learn(self, trial: Trial, fitness: float | None, metrics: Mapping[str, float]) -> None:
        if fitness is not None:
            if self._protected and len(self._alive) == self._alive.maxlen:
                oldest = next(member for member in self._alive if member.number not in self._protected)
                self._alive.remove(oldest)
            self._alive.append(Member(fitness, trial.number, trial.architecture))  # a full deque drops its oldest

    @property
    def population(self) -> tuple[Member, ...]:
        """Who is alive, the oldest first."""
        return tuple(self._alive)

    @property
    def settings(self) -> Mapping[str, Setting]:
        return {"sample": _sample_slider(self._sample, self.hyperparameters.population), **super().settings}

    def apply_setting(self, name: str, value: Any) -> None:
        if name == "sample":
            self._sample = round(value)
        else:
            super().apply_setting(name, value)

    # --- memory --------------------------------------------------------------------------------------

    def algorithm_state(self) -> Any:
        return [self._sample, [self._record(member) for member in self._alive], *self._by_hand()]

    def load_algorithm_state(self, state: Any) -> None:
        self._sample, alive, *by_hand = state
        self._remember_hand(by_hand)
        self._alive.clear()
        self._alive.extend(map(self._member, alive))
