"""Regularized evolution (Real, Aggarwal, Huang & Le 2019, https://arxiv.org/abs/1802.01548, Alg. 1).

    population <- P random architectures
    repeat: parent <- fittest of S drawn at random from the population, with replacement
            child  <- mutate(parent);  add child;  remove the *oldest*

A plain version of this loop: `naslab.reference.evolution`.

The initial population may be given, `first=...`: architectures known to be good, or the best by a zero-cost score
(AREA, see `naslab.searchers.zero_cost_warm_start`).

Differences from the paper:
- There is no identity mutation, so that a child always differs from its parent.
- An architecture that could not be evaluated does not join the population.
- A mutation changes each choice with equal probability. That of the authors of NAS-Bench-201 (https://github.com/D-X-Y/AutoDL-Projects,
  exps/NATS-algos/regularized_ea.py) draws a node first: `mutation="node_first"`. With 100 queries it finds cells whose
  accuracy is 0.03 to 0.13 percentage points lower.
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
"""Name of a mutation -> method of `Space`."""


@dataclass(frozen=True, kw_only=True)
class RegularizedEvolutionHyperparameters:
    """Defaults are those of the paper's large-scale search (section 3.4: P = 100, S = 25)."""

    population: int = 100
    """Number of architectures in the population."""
    sample: int = 25
    """Number of members drawn for a tournament; the fittest becomes the parent."""
    first: tuple[tuple[Option, ...], ...] = ()
    """Architectures, or their choices, that the population begins with; random ones follow until it is complete."""
    mutation: str = "choice"
    """Kind of mutation: "choice" changes each choice with equal probability; "node_first" draws a node and then one of
    its choices (the authors of NAS-Bench-201: the edge into node 1 changes three times as often as one into node 3)."""

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
    """A member of the population. Members are ordered by fitness, equal ones by age: the younger is the greater."""

    fitness: float
    number: int
    """Number of its trial."""
    architecture: Architecture


@functools.cache
def _sample_slider(sample: int, population: int) -> Slider:
    # cached, because the settings are read for each trial
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
        parent = max([alive[int(u * size)] for u in uniforms(self.rng, self._sample)])  # S draws with replacement
        return Suggestion(self._mutate(parent.architecture, self.rng), "mutation", (parent.number,))

    def learn(self, trial: Trial, fitness: float | None, metrics: Mapping[str, float]) -> None:
        if fitness is not None:
            # a full deque drops its oldest member on `append`, which must not be a protected one
            if self._protected and len(self._alive) == self._alive.maxlen:
                oldest = next(member for member in self._alive if member.number not in self._protected)
                self._alive.remove(oldest)
            self._alive.append(Member(fitness, trial.number, trial.architecture))

    @property
    def population(self) -> tuple[Member, ...]:
        """The population, the oldest member first."""
        return tuple(self._alive)

    @property
    def settings(self) -> Mapping[str, Setting]:
        return {"sample": _sample_slider(self._sample, self.hyperparameters.population), **super().settings}

    def apply_setting(self, name: str, value: Any) -> None:
        if name == "sample":
            self._sample = round(value)
        else:
            super().apply_setting(name, value)

    # --- state ---------------------------------------------------------------------------------------

    def algorithm_state(self) -> Any:
        return [self._sample, [self._record(member) for member in self._alive], *self._interventions()]

    def load_algorithm_state(self, state: Any) -> None:
        self._sample, alive, *interventions = state
        self._load_interventions(interventions)
        self._alive.clear()
        self._alive.extend(map(self._member, alive))
