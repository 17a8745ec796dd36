"""The base class of searchers that propose architectures and evaluate nothing: ask and tell."""

from __future__ import annotations

import dataclasses
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, NamedTuple

import numpy as np

from naslab import spaces
from naslab.architecture import Architecture
from naslab.errors import SpecError, plain, real, whole
from naslab.estimators.estimator import MOST_FITNESS
from naslab.immutable import FrozenDict
from naslab.lazy import keep_old_hooks, warn_of_old_name
from naslab.quantities import FITNESS, Objective
from naslab.randomness import BlockGenerator, numpy_generator
from naslab.searchers import adding
from naslab.searchers.hyperparameters import (
    hyperparameters_from_spec,
    hyperparameters_to_spec,
    read_hyperparameters,
)
from naslab.searchers.keeping import KeepsStates
from naslab.searchers.masked import Masked
from naslab.searchers.settings import Act
from naslab.searchers.signatures import document
from naslab.snapshot import State
from naslab.spaces.space import Space


class Suggestion(NamedTuple):
    """What a sampler wants to have evaluated next."""

    architecture: Architecture
    origin: str
    """How it came about: "random", "mutation", "promotion", ..."""
    parents: tuple[int, ...] = ()
    """Numbers of the trials that it was made from."""
    fidelity: float | None = None
    """How much training the candidate is to have had in all, in epochs; None: as the estimator sees fit."""
    candidate: int | None = None
    """Number of the first trial of the same candidate, when its training goes on; None for a new candidate."""
    begins_from: int | None = None
    """Number of the trial whose trained weights it begins with: of the same candidate, to train on; of another, to
    inherit what fits. None: from new weights."""


class Trial(NamedTuple):
    """An architecture that a sampler wants to know the fitness of: a `Suggestion` with its number."""

    number: int
    """Counts what the sampler has asked, from 1."""
    architecture: Architecture
    origin: str
    parents: tuple[int, ...] = ()
    fidelity: float | None = None
    candidate: int | None = None
    begins_from: int | None = None

    def to_record(self) -> list[Any]:
        """JSON, but for the space of the architecture."""
        choices = list(self.architecture.choices)
        training = (self.fidelity, self.candidate, self.begins_from)
        return [self.number, choices, self.origin, list(self.parents), *training]

    @classmethod
    def from_record(cls, space: Space, record: Sequence[Any]) -> Trial:
        number, choices, origin, parents, *training = record
        return cls(number, Architecture(space.name, tuple(choices)), origin, tuple(parents), *training)


def _always(epochs: float) -> bool:
    return True


def _fitness(value: Any) -> float | None:
    """A fitness as a number of Python's; `SpecError` if it is none."""
    value = plain(value)
    if not isinstance(value, float | int):
        with suppress(SpecError):
            value = real("a fitness", value)
    if value is not None and not (
        isinstance(value, (float, int)) and not isinstance(value, bool) and abs(value) <= MOST_FITNESS
    ):
        raise SpecError(
            f"a fitness is a finite number, up to {MOST_FITNESS:g} in size, or None for a failed candidate; "
            f"not {value!r}"
        )
    return value


HOOKS = {
    "memory": "algorithm_state",
    "remember": "load_algorithm_state",
    "details": "diagnostics",
    "hears_added": "ask_proposes_added",
}
"""Earlier name -> name of what a subclass of `Sampler` overrides."""


class Sampler(Masked, KeepsStates, ABC):
    """Proposes architectures (`ask`) and hears what they are worth (`tell`); evaluates nothing itself.

    Several trials may be open at once, and be told in any order. The same seed, space, knobs and answers give the
    same trials. `rng` is the one source of randomness, and its state a part of `state_dict`.
    """

    name: ClassVar[str]
    """Key in `naslab.searchers.SEARCHERS`."""
    Hyperparameters: ClassVar[type]
    """Frozen dataclass of what the algorithm can be given by keyword."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        keep_old_hooks(cls, HOOKS)
        document(cls)

    def __init__(self, space: Space, *, seed: int = 0, **hyperparameters: Any) -> None:
        """
        Args:
            space: what to search.
            seed: of everything random.
            **hyperparameters: see the module's dataclass.
        """
        if not isinstance(space, Space):
            raise SpecError(f"{self.name} needs a space, for instance nl.spaces.NASBench201(), not {space!r:.200}")
        self.hyperparameters: Any = read_hyperparameters(self.Hyperparameters, hyperparameters)
        self._given = frozenset(hyperparameters)
        self.space = self.whole = space  # set, for a cached property makes every look-up in its object slower
        self.seed = whole("seed", seed)
        self.rng: np.random.Generator = BlockGenerator(numpy_generator(self.seed, self.name).bit_generator)
        self.trainable: Callable[[float], bool] = _always
        """Whether a candidate can be trained for so many epochs in all: the estimator's to say, if there is one."""
        self.objective: Objective = FITNESS
        """What the fitness that is told is of: the estimator's to say, if there is one."""
        self.asked = 0
        """Trials so far."""
        self._open: dict[int, Trial] = {}
        self._added: list[Architecture] = []
        """What is to be proposed next, given by hand."""
        self.begin()

    # --- what an algorithm must say --------------------------------------------------------------

    @abstractmethod
    def begin(self) -> None:
        """Set up the algorithm's own state; `space`, `rng` and `hyperparameters` are there."""

    @abstractmethod
    def propose(self) -> Suggestion:
        """What to evaluate next."""

    @abstractmethod
    def learn(self, trial: Trial, fitness: float | None, metrics: Mapping[str, float]) -> None:
        """Take in what a trial is worth, None for one that failed; and what else the estimator found."""

    @abstractmethod
    def algorithm_state(self) -> Any:
        """The algorithm's own state as JSON, copied; without `rng`."""

    @abstractmethod
    def load_algorithm_state(self, state: Any) -> None:
        """Take back what `algorithm_state` returned."""

    @property
    def diagnostics(self) -> Mapping[str, float | Sequence[float]]:
        """The algorithm's own figures of the moment, for its events: a baseline, an entropy, hurdles."""
        return {}

    @property
    def probabilities(self) -> Mapping[str, np.ndarray]:
        """Name of a choice -> [options] float32: what the algorithm would now draw it with, if it has such a policy."""
        return {}

    @property
    def fidelities(self) -> Sequence[float]:
        """Epochs that it will ask candidates to be trained for, as far as it knows them before."""
        return ()

    def adapted_hyperparameters(self, known: Collection[float]) -> Mapping[str, Any]:
        """Hyperparameters with which it would ask for trainings of these lengths only, in epochs; none if it cannot."""
        return {}

    adds: ClassVar[bool] = True
    """Whether it can propose an architecture that a hand gives, and learn from it."""

    def added(self, architecture: Architecture) -> Suggestion:
        """The suggestion of what a hand has given; a searcher that keeps account of its suggestions notes it."""
        return Suggestion(architecture, "added")

    def check_added(self, architecture: Architecture) -> None:
        """`SpecError` if it could not learn from this one."""

    def undo_added(self, architecture: Architecture) -> tuple[str, dict[str, Any]]:
        """The act that undoes what was added and proposed since; `SpecError` where none does."""
        raise SpecError(
            "it was proposed, and cannot be taken back; search.rewind(step) goes back to before it was added"
        )

    @property
    def waiting(self) -> tuple[Architecture, ...]:
        """What a hand has added and is not proposed yet, in the order of its turns."""
        return tuple(self._added)

    @property
    def ask_proposes_added(self) -> bool:
        """Whether what was added is proposed by `ask`, before whatever `propose` would; else `propose` does so."""
        return True

    # --- what follows ----------------------------------------------------------------------------

    @property
    def acts(self) -> Mapping[str, Act]:
        """What a hand can do: have an architecture proposed next."""
        return {**super().acts, **adding.acts(self)} if self.adds else super().acts

    @property
    def open(self) -> tuple[Trial, ...]:
        """What was asked and is not told yet, in the order of asking."""
        return tuple(self._open.values())

    def adapt_fidelities(self, known: Collection[float]) -> None:
        """Before the first trial: ask for trainings of these lengths only, if the user has said nothing of them."""
        adapted = {} if set(self.fidelities) <= set(known) else self.adapted_hyperparameters(known)
        if adapted and not adapted.keys() & self._given:
            self.hyperparameters = dataclasses.replace(self.hyperparameters, **adapted)
            self.begin()

    def ask(self) -> Trial:
        """The next architecture to be evaluated."""
        suggestion = self.added(self._added.pop(0)) if self._added and self.ask_proposes_added else self.propose()
        architecture, origin, parents, fidelity, candidate, begins_from = suggestion
        if candidate is None and self.space is not self.whole:  # a mask is in force
            architecture = self.obeying(architecture, self.rng)
        self.asked = number = self.asked + 1
        first = number if candidate is None else candidate
        trial = Trial(number, architecture, origin, parents, fidelity, first, begins_from)
        self._open[number] = trial
        return trial

    def tell(
        self,
        trial: Trial,
        fitness: float | None,
        metrics: Mapping[str, float] = FrozenDict({}),
        *,
        figures: Mapping[str, float] | None = None,
    ) -> None:
        """Reports the result of a trial, once for each trial that `ask` returned.

        Args:
            trial: what `ask` returned.
            fitness: more is better; None if the trial could not be evaluated.
            metrics: other measured values by name: "parameters", "flops", "latency", "seconds", ...
            figures: `metrics`, by an earlier name.

        Raises:
            SpecError: the trial is not open, or the fitness is not a finite number.
        """
        if figures is not None:
            warn_of_old_name(f"{type(self).__name__}.tell(figures=...)", "tell(metrics=...)")
            metrics = figures
        if not isinstance(trial, Trial):
            raise SpecError(f"tell takes what ask() gave, a trial, and its fitness; got {trial!r:.200}")
        if type(fitness) is not float or not -MOST_FITNESS <= fitness <= MOST_FITNESS:
            fitness = _fitness(fitness)
        known = self._open.get(trial.number)
        if known is not trial and known != trial:
            raise SpecError(
                f"trial {trial.number} is not open: it was told already, or another sampler made it; "
                f"tell each trial that ask() gave once"
            )
        del self._open[trial.number]
        self.learn(trial, fitness, metrics)

    def spec(self) -> dict[str, Any]:
        """JSON from which `naslab.searchers.from_spec` makes this sampler again, as it was at the beginning."""
        return {
            "searcher": self.name,
            "space": self.whole.spec(),
            "seed": self.seed,
            "hyperparameters": hyperparameters_to_spec(self.hyperparameters),
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Sampler:
        """What `spec` described."""
        given = hyperparameters_from_spec(cls.Hyperparameters, spec["hyperparameters"])
        return cls(spaces.from_spec(spec["space"]), seed=spec["seed"], **given)

    def state_dict(self) -> State:
        """Everything that the next trial depends on, copied."""
        return {
            "asked": self.asked,
            "open": json.dumps([trial.to_record() for trial in self._open.values()]),
            "random": json.dumps(self.rng.bit_generator.state),
            "memory": json.dumps(self.algorithm_state()),
            **({"added": json.dumps([one.choices for one in self._added])} if self._added else {}),
            **self._mask_state(),
        }

    def load_state_dict(self, state: State) -> None:
        """Go on bit for bit from where `state_dict` was taken."""
        self.asked = int(state["asked"])  # type: ignore[arg-type]
        opened = [Trial.from_record(self.space, record) for record in json.loads(str(state["open"]))]
        self._open = {trial.number: trial for trial in opened}
        self.rng.bit_generator.state = json.loads(str(state["random"]))
        added = json.loads(str(state.get("added", "[]")))
        self._added = [Architecture(self.whole.name, tuple(choices)) for choices in added]
        self._load_mask(state)  # first, for it may draw again what was drawn ahead
        self.load_algorithm_state(json.loads(str(state["memory"])))


keep_old_hooks(Sampler, HOOKS)  # `__init_subclass__` does not run for the class itself
