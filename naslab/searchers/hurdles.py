"""Progressive dynamic hurdles (So, Liang & Le 2019, "The Evolved Transformer", https://arxiv.org/abs/1901.11117,
Alg. 1 and 2), inside tournament evolution (Real et al. 2019, https://arxiv.org/abs/1802.01548, without its aging).

    hurdles <- none;  population <- P random architectures, each trained for s_0
    repeat: parent <- fittest of S drawn at random from the population;  child <- mutate(parent)
            train the child for s_0;  i <- 0
            while there is a hurdle h_i, and the child's fitness is above it: train it on, for s_(i+1);  i <- i + 1
            remove the least fit of S drawn at random from the population;  add the child
            after every m children: the next hurdle <- mean fitness of those in the population with the longest training

So a promising child is trained longer, an unpromising one is stopped at the first hurdle that it does not clear, and a
new hurdle, higher up, is added as the search goes, until the trainings are as long as the steps say. The fitness of a
child is that of its longest training. That of longer trainings is usually higher, and is compared with the others as it
is; as the paper argues, that is what selection should favour.

Differences from the paper:
- An architecture whose training fails, the first or a later one, does not join the population. While nobody in it has
  had the longest training, a hurdle that is due waits (`diagnostics["waiting"]`), and the search goes on.
- By default a child differs from its parent in one choice, and the first population is random. The paper changes each
  field with a probability of 2.5 %, `mutation_rate=0.025`, and begins with the Transformer, `first=[...]`. Where the
  draw would change nothing, one choice is changed.
- With several trials open at once, a child may be proposed before the result of the last one is known.
- Where an estimator supports only some lengths of training, as a table does, and `steps` is left out, the steps lead
  from one of these lengths to the next, up to the longest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import fmean
from typing import Any, NamedTuple

from naslab.architecture import Architecture, Option
from naslab.errors import SpecError, real, whole
from naslab.fields import settle
from naslab.randomness import uniforms
from naslab.searchers.beginning import choices_of
from naslab.searchers.rungs import OfKnownLengths, fitting, hyperband
from naslab.searchers.sampler import Suggestion, Trial
from naslab.searchers.settings import Setting, Slider
from naslab.searchers.signatures import attribute_docstrings
from naslab.searchers.tended import Tended


@dataclass(frozen=True, kw_only=True)
class HurdlesHyperparameters:
    """For a laptop; the paper has P = 100, S = 30, m = 5,000 and 60,000, 60,000 and 120,000 steps of training."""

    steps: tuple[float, ...] = (1, 1, 2)
    """Epochs before the first hurdle, then from each hurdle to the next: s_0, s_1, s_2, ..."""
    per_hurdle: int = 30
    """Children after which the next hurdle is made: the paper's m."""
    population: int = 20
    """Number of architectures in the population."""
    sample: int = 5
    """Members in a tournament: the fittest of one becomes the parent, the least fit of another is removed."""
    mutation_rate: float | None = None
    """Probability that a choice of the child differs from its parent's; None: exactly one choice differs."""
    first: tuple[tuple[Option, ...], ...] = ()
    """Architectures, or their choices, that the population begins with; random ones follow until it is complete."""

    def __post_init__(self) -> None:
        settle(self)
        if not isinstance(self.steps, Sequence) or isinstance(self.steps, str) or not self.steps:
            raise SpecError(f"steps are epochs of training, for instance (1, 1, 2), not {self.steps!r}")
        steps = tuple(step if type(step) is int else real("each of the steps", step) for step in self.steps)
        if not all(0 < step < float("inf") for step in steps):
            raise SpecError(f"each of the steps is a number of epochs above 0, not {self.steps!r}")
        object.__setattr__(self, "steps", steps)
        for name in ("per_hurdle", "population", "sample"):
            object.__setattr__(self, name, whole(name, getattr(self, name), 1))
        if self.sample > self.population:
            raise SpecError(f"sample must be at most the population, {self.population}, not {self.sample}")
        if self.mutation_rate is not None and not 0 < real("mutation_rate", self.mutation_rate) <= 1:
            raise SpecError(f"mutation_rate is a probability above 0, not {self.mutation_rate!r}")
        object.__setattr__(self, "first", choices_of(self.first, self.population))


class Member(NamedTuple):
    """A member of the population. Members are ordered by fitness, equal ones by age: the younger is the greater."""

    fitness: float
    number: int
    """Number of its last trial."""
    cleared: int
    """Number of hurdles it has cleared: it was trained for s_0 + ... + s_cleared epochs."""
    architecture: Architecture


class Hurdles(Tended, OfKnownLengths):
    """Tournament evolution that trains promising architectures longer, on any space."""

    name = "hurdles"
    Hyperparameters = HurdlesHyperparameters
    Member = Member

    def begin(self) -> None:
        super().begin()
        self._epochs = list(accumulate(self.hyperparameters.steps))
        """Total epochs of training before the first hurdle, and after each."""
        self._sample: int = self.hyperparameters.sample
        self._first = [self.space.architecture(choices) for choices in self.hyperparameters.first]
        self._hurdles: list[float] = []
        self._children = 0
        """Number of children finished since the last hurdle was made, failed ones included."""
        self._alive: list[Member] = []
        self._going_on: list[tuple[Trial, int]] = []
        """Trials whose training is to be continued, each with the number of hurdles it has cleared."""
        self._stopped: Counter[int] = Counter()
        """Number of hurdles cleared -> number of children that stopped there."""

    @property
    def fidelities(self) -> Sequence[float]:
        return self._epochs

    def adapted_hyperparameters(self, known: Collection[float]) -> dict[str, Any]:
        """Value of `steps` that leads through known lengths, each training about twice as long as the one before. There
        are as many steps as were given, or fewer where fewer lengths are known."""
        own = self.hyperparameters.steps
        if "steps" in self._given and set(self._epochs) <= set(known):
            return {"steps": own}
        lengths = [int(rung.epochs) for rung in hyperband(**fitting(known, 2))[0]][-len(own) :]
        return {"steps": tuple(later - one for one, later in pairwise((0, *lengths)))}

    # --- what to evaluate ------------------------------------------------------------------------------

    def propose(self) -> Suggestion:
        if self._going_on:
            last, cleared = self._going_on.pop(0)
            return Suggestion(
                last.architecture, "hurdle", last.parents, self._epochs[cleared], last.candidate, last.number
            )
        if self.asked < len(self._first):
            return Suggestion(self._first[self.asked], "first", (), self._epochs[0])
        if added := self._next_added((), self._epochs[0]):
            return added
        if len(self._alive) < self.hyperparameters.population:
            return Suggestion(self.space.sample(self.rng), "random", (), self._epochs[0])
        parent, rate = max(self._drawn()), self.hyperparameters.mutation_rate
        if rate is None:
            child = self.space.mutate(parent.architecture, self.rng)
        else:
            child = self.space.mutate_each(parent.architecture, rate, self.rng)
        return Suggestion(child, "mutation", (parent.number,), self._epochs[0])

    def _drawn(self) -> list[Member]:
        """Draws S members of the population, with replacement."""
        alive = self._alive
        return [alive[int(u * len(alive))] for u in uniforms(self.rng, self._sample)]

    def _loser(self) -> Member:
        """The least fit of S members; those that are protected do not count."""
        # terminates, because at least one member is always unprotected
        while not (mortal := [member for member in self._drawn() if member.number not in self._protected]):
            pass
        return min(mortal)

    # --- results ---------------------------------------------------------------------------------------

    def learn(self, trial: Trial, fitness: float | None, metrics: Mapping[str, float]) -> None:
        cleared = self._epochs.index(trial.fidelity)  # type: ignore[arg-type]
        if fitness is not None:
            # the hurdles that exist now, of which there may be more than when the training began
            if cleared < len(self._hurdles) and fitness > self._hurdles[cleared]:
                self._going_on.append((trial, cleared + 1))
                return
            if len(self._alive) >= self.hyperparameters.population:
                self._alive.remove(self._loser())
            self._alive.append(Member(fitness, trial.number, cleared, trial.architecture))
            self._stopped[cleared] += 1
        if trial.parents:  # the first population has none
            self._children += 1
            self._raise_hurdle()

    def _raise_hurdle(self) -> None:
        """Makes the next hurdle if it is due and a member has had the longest training so far."""
        longest = len(self._hurdles)
        if self._children >= self.hyperparameters.per_hurdle and longest < len(self._epochs) - 1:
            heights = [member.fitness for member in self._alive if member.cleared == longest]
            if heights:
                self._hurdles.append(fmean(heights))
                self._children = 0

    @property
    def population(self) -> tuple[Member, ...]:
        """The population, the oldest member first."""
        return tuple(self._alive)

    @property
    def hurdles(self) -> tuple[float, ...]:
        """Fitness to be exceeded after s_0 epochs, after s_0 + s_1, ...; as many as there are hurdles so far."""
        return tuple(self._hurdles)

    @property
    def diagnostics(self) -> Mapping[str, float | Sequence[float]]:
        """`hurdles`; `epochs` after which they stand; `stopped`, the children that stopped at each and after the last;
        `waiting`, the children for which a hurdle that is due has been waiting.
        """
        due = len(self._hurdles) < len(self._epochs) - 1
        return {
            "hurdles": list(self._hurdles),
            "epochs": list(self._epochs),
            "stopped": [self._stopped[cleared] for cleared in range(len(self._epochs))],
            "waiting": max(0, self._children - self.hyperparameters.per_hurdle) if due else 0,
        }

    # --- settings and state ------------------------------------------------------------------------------

    @property
    def settings(self) -> Mapping[str, Setting]:
        about = attribute_docstrings(HurdlesHyperparameters)["sample"]
        most = self.hyperparameters.population
        sample = Slider(value=self._sample, low=1, high=most, log=False, whole=True, description=about)
        return {"sample": sample, **super().settings}

    def apply_setting(self, name: str, value: Any) -> None:
        if name == "sample":
            self._sample = round(value)
        else:
            super().apply_setting(name, value)

    def algorithm_state(self) -> Any:
        by_hand = self._interventions()
        return {
            "sample": self._sample,
            "hurdles": list(self._hurdles),
            "children": self._children,
            "alive": [self._record(member) for member in self._alive],
            "going_on": [[trial.to_record(), cleared] for trial, cleared in self._going_on],
            "stopped": sorted(self._stopped.items()),
            **({"by_hand": by_hand} if by_hand else {}),
        }

    def load_algorithm_state(self, state: Any) -> None:
        self._sample, self._hurdles, self._children = state["sample"], list(state["hurdles"]), state["children"]
        self._alive = [self._member(record) for record in state["alive"]]
        self._load_interventions(state.get("by_hand"))
        self._going_on = [(Trial.from_record(self.space, record), cleared) for record, cleared in state["going_on"]]
        self._stopped = Counter(dict(state["stopped"]))
