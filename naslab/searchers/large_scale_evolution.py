"""Large-scale evolution (Real et al. 2017, "Large-Scale Evolution of Image Classifiers",
https://arxiv.org/abs/1703.01041, Sec. 3.1, 3.2 and 3.6).

    population <- P copies of the simplest network
    each worker, at its own pace:
        draw two at random from the population: the less fit is killed, the fitter reproduces
        child <- a copy of the fitter, changed by one mutation drawn at random
        train the child, starting from the weights of its parent where they fit;  add it

Workers do not wait for each other: a tournament is held whenever one is free, between the members at that moment.
The mutations are those of the space (`nl.spaces.LargeScaleEvolutionSpace` has the paper's: insert and remove a
convolution, a nonlinearity, a skip; alter stride, channels, height and width of a filter, the learning rate), and two
that keep the architecture: `identity`, which continues its training, and `reset_weights`, which trains it from scratch.

Differences from the paper:
- Identity and reset are drawn only if `epochs` is given: otherwise the estimator decides how long to train, and no
  training can be continued.
- An impossible mutation is not drawn (the paper draws again, which is the same in effect).
- An architecture that could not be evaluated does not join the population. Its place is taken by a child whose
  tournament killed no member.
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
    """Number of individuals that are alive or being evaluated."""
    epochs: int | None = None
    """Epochs of training of each individual, after the inherited training. The identity trains for as many again, if
    the estimator offers that length: one with `schedule="constant"` offers any. None: the estimator decides, without
    identity and reset."""

    def __post_init__(self) -> None:
        settle(self)
        object.__setattr__(self, "population", whole("population", self.population, 2))
        if self.epochs is not None:
            object.__setattr__(self, "epochs", whole("epochs", self.epochs, 1))


class Individual(NamedTuple):
    """A member of the population. Members are ordered by fitness, equal ones by age: the younger is the greater."""

    fitness: float
    number: int
    """Number of its trial."""
    epochs: int
    """Epochs of training since its last mutation; 0 if the estimator decides how many."""
    architecture: Architecture


class LargeScaleEvolution(Tended):
    """Pairwise tournaments and inherited weights, on any space, and on spaces that grow from a minimal network."""

    name = "large_scale_evolution"
    Hyperparameters = LargeScaleEvolutionHyperparameters
    Member = Individual
    mortal = 2

    def begin(self) -> None:
        super().begin()
        self._alive: list[Individual] = []
        self._founded = 0
        """Number of individuals of the initial population that were proposed."""
        self._killed = 0
        """Number of individuals that lost a tournament."""

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
        """Whether the members and the open trials fill the population."""
        return len(self._alive) + len(self.open) >= self.hyperparameters.population

    def _tournament(self) -> Individual:
        """Returns the fitter of two random members; the other is removed if the population is full.

        A protected member is never removed. If fewer than two are unprotected, no member is.
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
        while mutations:  # one that is impossible is not drawn again
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

    # --- results ---------------------------------------------------------------------------------------

    def learn(self, trial: Trial, fitness: float | None, metrics: Mapping[str, float]) -> None:
        if fitness is not None:
            epochs = int(trial.fidelity or 0)
            self._alive.append(Individual(fitness, trial.number, epochs, trial.architecture))

    @property
    def fidelities(self) -> Sequence[float]:
        """Training length of a new individual; the identity may ask for more."""
        return (self.hyperparameters.epochs,) if self.hyperparameters.epochs else ()

    @property
    def population(self) -> tuple[Individual, ...]:
        """The population, the oldest member first."""
        return tuple(self._alive)

    @property
    def diagnostics(self) -> Mapping[str, float]:
        """`alive`, the size of the population; `killed`, the number of tournaments lost so far."""
        return {"alive": len(self._alive), "killed": self._killed}

    # --- state -------------------------------------------------------------------------------------------

    def algorithm_state(self) -> Any:
        interventions, alive = self._interventions(), [self._record(individual) for individual in self._alive]
        hand = {"by_hand": interventions} if interventions else {}
        return {"alive": alive, "founded": self._founded, "killed": self._killed, **hand}

    def load_algorithm_state(self, state: Any) -> None:
        self._founded, self._killed = state["founded"], state["killed"]
        self._alive = [self._member(record) for record in state["alive"]]
        self._load_interventions(state.get("by_hand"))
