"""Large-scale evolution (Real et al. 2017, "Large-Scale Evolution of Image Classifiers",
https://arxiv.org/abs/1703.01041, Sec. 3.1, 3.2 and 3.6).

    population <- P copies of the simplest network
    each worker, at its own pace:
        two drawn at random from the population: the less fit is killed, the fitter reproduces
        child <- a copy of the fitter, changed by one mutation drawn at random
        train the child, beginning with the weights of its parent where they fit;  add it

Workers wait for nobody: a tournament is held whenever one of them is free, between those that are alive at that moment.
The mutations are those of the space (`nl.spaces.LargeScaleEvolutionSpace` has the paper's: insert and remove a
convolution, a nonlinearity, a skip; alter stride, channels, height and width of a filter, the learning rate), and two
that leave the architecture as it is: `identity`, to train on, and `reset_weights`, to begin anew.

Differences from the paper:
- Identity and reset are drawn only where `epochs` are given: else it is the estimator's to say how long to train, and
  there is nothing to train on for.
- A mutation that is not possible is not drawn (the paper tries again, and so changes nothing in the end).
- An architecture that could not be evaluated does not join the population. Its place is taken by a child whose
  tournament killed nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from naslab.architecture import Architecture
from naslab.errors import whole
from naslab.fields import settle
from naslab.searchers.sampler import Suggestion, Trial
from naslab.searchers.tended import Tended
from naslab.spaces import growing

IDENTITY, RESET = "identity", "reset_weights"


@dataclass(frozen=True, kw_only=True)
class LargeScaleEvolutionHyperparameters:
    """For a laptop; the paper has P = 1,000, 250 workers, and 25,600 steps of training for each individual."""

    population: int = 20
    """How many individuals are alive, or on their way to be."""
    epochs: int | None = None
    """Of training for each individual, after what it inherits. The identity trains on for as many again, as long as the
    estimator has such a training: one with `schedule="constant"` always has. None: as the estimator sees fit, without
    identity and reset."""

    def __post_init__(self) -> None:
        settle(self)
        object.__setattr__(self, "population", whole("population", self.population, 2))
        if self.epochs is not None:
            object.__setattr__(self, "epochs", whole("epochs", self.epochs, 1))


class Individual(NamedTuple):
    """One that is alive; the fitter of two is the greater, of equals the younger."""

    fitness: float
    number: int
    """Of its trial."""
    epochs: int
    """Of training since its architecture came up: 0 where the estimator says how many."""
    architecture: Architecture


class LargeScaleEvolution(Tended):
    """Pairwise tournaments and inherited weights, on any space, and on one that grows from next to nothing."""

    name = "large_scale_evolution"
    Hyperparameters = LargeScaleEvolutionHyperparameters
    Member = Individual
    mortal = 2

    def begin(self) -> None:
        super().begin()
        self._alive: list[Individual] = []
        self._founded = 0
        """Individuals of the first population that were proposed."""
        self._killed = 0

    # --- what to evaluate ------------------------------------------------------------------------------

    def propose(self) -> Suggestion:
        size, epochs = self.hyperparameters.population, self.hyperparameters.epochs
        if self._founded < size or len(self._alive) < 2:
            self._founded += 1
            return self._next_added((), epochs) or Suggestion(growing.start(self.space, self.rng), "start", (), epochs)
        parent = self._tournament()
        return self._next_added((), epochs) or self._child(parent)

    @property
    def _full(self) -> bool:
        """Whether those that are alive, or on their way to be, are as many as may be."""
        return len(self._alive) + len(self.open) >= self.hyperparameters.population

    def _tournament(self) -> Individual:
        """The fitter of two; the other is killed where there is no room for a child. One that is protected does not
        lose, and where fewer than two are not, nobody does.
        """
        alive, protected = self._alive, self._protected
        must = self._full and sum(one.number not in protected for one in alive) >= self.mortal
        while True:
            loser, fitter = sorted(alive[place] for place in self.rng.choice(len(alive), size=2, replace=False))
            if not must:
                return fitter
            if loser.number not in protected:
                alive.remove(loser)
                self._killed += 1
                return fitter

    def _child(self, parent: Individual) -> Suggestion:
        epochs, number = self.hyperparameters.epochs, parent.number
        mutations = [*growing.moves(self.space), *((IDENTITY, RESET) if epochs else ())]
        while mutations:
            mutation = mutations.pop(int(self.rng.integers(len(mutations))))
            if epochs and mutation == IDENTITY:
                longer = parent.epochs + epochs
                if not self.trainable(longer):
                    continue
                return Suggestion(parent.architecture, IDENTITY, (number,), longer, begins_from=number)
            if epochs and mutation == RESET:
                return Suggestion(parent.architecture, RESET, (number,), epochs)
            child = growing.move(self.space, parent.architecture, mutation, self.rng)
            if child is not None and child != parent.architecture:
                return Suggestion(child, mutation, (number,), epochs, begins_from=number)
        return Suggestion(parent.architecture, RESET, (number,), epochs)  # it is the only architecture

    # --- what came of it -------------------------------------------------------------------------------

    def learn(self, trial: Trial, fitness: float | None, metrics: Mapping[str, float]) -> None:
        if fitness is not None:
            epochs = int(trial.fidelity or 0)
            self._alive.append(Individual(fitness, trial.number, epochs, trial.architecture))

    @property
    def fidelities(self) -> Sequence[float]:
        """Those of a new individual."""
        return (self.hyperparameters.epochs,) if self.hyperparameters.epochs else ()

    @property
    def population(self) -> tuple[Individual, ...]:
        """Who is alive, in the order in which they came."""
        return tuple(self._alive)

    @property
    def diagnostics(self) -> Mapping[str, float]:
        """How many are alive, and how many were killed so far."""
        return {"alive": len(self._alive), "killed": self._killed}

    # --- memory ------------------------------------------------------------------------------------------

    def algorithm_state(self) -> Any:
        by_hand, alive = self._by_hand(), [self._record(individual) for individual in self._alive]
        hand = {"by_hand": by_hand} if by_hand else {}
        return {"alive": alive, "founded": self._founded, "killed": self._killed, **hand}

    def load_algorithm_state(self, state: Any) -> None:
        self._founded, self._killed = state["founded"], state["killed"]
        self._alive = [self._member(record) for record in state["alive"]]
        self._remember_hand(state.get("by_hand"))
