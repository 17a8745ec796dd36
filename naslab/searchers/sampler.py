"""Base class of searchers that propose architectures and evaluate nothing: `ask` for a trial, `tell` its fitness.

    trial = sampler.ask()
    sampler.tell(trial, estimator(trial.architecture))

`naslab.searchers.black_box` does that in a loop, with workers, settings and resuming.
"""

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
    """The architecture that a sampler proposes next, before it has a number."""

    architecture: Architecture
    origin: str
    """Operator that produced it: "random", "mutation", "promotion", ..."""
    parents: tuple[int, ...] = ()
    """Numbers of the trials whose architectures it was derived from."""
    fidelity: float | None = None
    """Total epochs of training, earlier trainings of the same candidate included; None: the estimator's own length."""
    candidate: int | None = None
    """Number of the candidate's first trial, if its training is continued; None for a new candidate."""
    begins_from: int | None = None
    """Number of the trial whose trained weights the training starts from: of the same candidate, to continue it; of
    another candidate, to inherit the weights that fit. None: new weights."""


class Trial(NamedTuple):
    """A `Suggestion` with its number: what `ask` returns and `tell` takes."""

    number: int
    """Position among the trials of this sampler, from 1."""
    architecture: Architecture
    origin: str
    parents: tuple[int, ...] = ()
    fidelity: float | None = None
    candidate: int | None = None
    begins_from: int | None = None

    def to_record(self) -> list[Any]:
        """Returns the trial as JSON, without the space of its architecture."""
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
    """Returns a fitness as a number of Python's, or None; `SpecError` for anything else."""
    value = plain(value)  # a number of NumPy or PyTorch
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
    """Proposes architectures (`ask`) and learns from their fitness (`tell`); evaluates nothing itself.

    Several trials may be open at once, and be told in any order. The same seed, space, settings and results give the
    same trials: `rng` is the only source of randomness, and its state is part of `state_dict`.

    A subclass writes `begin`, `propose`, `learn`, `algorithm_state` and `load_algorithm_state`.
    """

    name: ClassVar[str]
    """Key in `naslab.searchers.SEARCHERS`."""
    Hyperparameters: ClassVar[type]
    """Frozen dataclass of the algorithm's keyword arguments."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        keep_old_hooks(cls, HOOKS)
        document(cls)

    def __init__(self, space: Space, *, seed: int = 0, **hyperparameters: Any) -> None:
        """
        Args:
            space: search space.
            seed: seed of `rng`.
            **hyperparameters: fields of `Hyperparameters`.
        """
        if not isinstance(space, Space):
            raise SpecError(f"{self.name} needs a space, for instance nl.spaces.NASBench201(), not {space!r:.200}")
        self.hyperparameters: Any = read_hyperparameters(self.Hyperparameters, hyperparameters)
        self._given = frozenset(hyperparameters)
        # `whole` is a cached property of `Masked`. Setting it here keeps attribute look-ups of this object fast.
        self.space = self.whole = space
        self.seed = whole("seed", seed)
        self.rng: np.random.Generator = BlockGenerator(numpy_generator(self.seed, self.name).bit_generator)
        self.trainable: Callable[[float], bool] = _always
        """Epochs -> whether the estimator offers a training of that total length. Any, while there is no estimator."""
        self.objective: Objective = FITNESS
        """Metric that the fitness measures; set by the search, from the estimator."""
        self.asked = 0
        """Number of trials so far."""
        self._open: dict[int, Trial] = {}
        self._added: list[Architecture] = []
        """Architectures that the user has added, to be proposed next."""
        self.begin()

    # --- hooks that an algorithm overrides -------------------------------------------------------

    @abstractmethod
    def begin(self) -> None:
        """Sets up the algorithm's own state, from `space`, `rng` and `hyperparameters`."""

    @abstractmethod
    def propose(self) -> Suggestion:
        """Returns the architecture to evaluate next."""

    @abstractmethod
    def learn(self, trial: Trial, fitness: float | None, metrics: Mapping[str, float]) -> None:
        """Updates the algorithm with the result of a trial.

        Args:
            trial: what `ask` returned.
            fitness: more is better; None if the trial could not be evaluated.
            metrics: other values that the estimator measured.
        """

    @abstractmethod
    def algorithm_state(self) -> Any:
        """Returns a copy of the algorithm's own state as JSON, without `rng` and the open trials.

        It must hold everything that the next `propose` depends on, or a resumed search differs.
        """

    @abstractmethod
    def load_algorithm_state(self, state: Any) -> None:
        """Restores what `algorithm_state` returned."""

    @property
    def diagnostics(self) -> Mapping[str, float | Sequence[float]]:
        """Name -> present value of an internal quantity, for the events: a baseline, an entropy, hurdles."""
        return {}

    @property
    def probabilities(self) -> Mapping[str, np.ndarray]:
        """Name of a choice -> [options] float32: its present distribution, of algorithms that have a policy."""
        return {}

    @property
    def fidelities(self) -> Sequence[float]:
        """Total training lengths in epochs that it will ask for, as far as they are known beforehand."""
        return ()

    def adapted_hyperparameters(self, known: Collection[float]) -> Mapping[str, Any]:
        """Returns hyperparameters with which it asks only for these training lengths, in epochs; {} if none do."""
        return {}

    adds: ClassVar[bool] = True
    """Whether it can propose architectures that the user adds, and learn from them."""

    def added(self, architecture: Architecture) -> Suggestion:
        """Returns the suggestion for an architecture that the user added; a hook for the algorithm's bookkeeping."""
        return Suggestion(architecture, "added")

    def check_added(self, architecture: Architecture) -> None:
        """Raises `SpecError` if the algorithm could not learn from this architecture."""

    def undo_added(self, architecture: Architecture) -> tuple[str, dict[str, Any]]:
        """Returns the act that undoes an addition which was proposed meanwhile; `SpecError` if there is none."""
        raise SpecError(
            "it was proposed, and cannot be taken back; search.rewind(step) goes back to before it was added"
        )

    @property
    def waiting(self) -> tuple[Architecture, ...]:
        """Architectures that the user added and that are not proposed yet, in the order of proposal."""
        return tuple(self._added)

    @property
    def ask_proposes_added(self) -> bool:
        """True if `ask` proposes added architectures before it calls `propose`; False if `propose` does so itself."""
        return True

    # --- ask and tell ----------------------------------------------------------------------------

    @property
    def acts(self) -> Mapping[str, Act]:
        """Acts of every sampler: adding an architecture, which is proposed next."""
        return {**super().acts, **adding.acts(self)} if self.adds else super().acts

    @property
    def open(self) -> tuple[Trial, ...]:
        """Trials that were asked and not told yet, in the order of asking."""
        return tuple(self._open.values())

    def adapt_fidelities(self, known: Collection[float]) -> None:
        """Adapts the training lengths to those that the estimator offers, before the first trial.

        Hyperparameters that the user gave are not changed.
        """
        adapted = {} if set(self.fidelities) <= set(known) else self.adapted_hyperparameters(known)
        if adapted and not adapted.keys() & self._given:
            self.hyperparameters = dataclasses.replace(self.hyperparameters, **adapted)
            self.begin()

    def ask(self) -> Trial:
        """Returns the next trial to evaluate."""
        suggestion = self.added(self._added.pop(0)) if self._added and self.ask_proposes_added else self.propose()
        architecture, origin, parents, fidelity, candidate, begins_from = suggestion
        # Under a mask, a parent may still hold a forbidden option, and so may its child. A candidate whose training is
        # continued stays as it is.
        if candidate is None and self.space is not self.whole:
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
        if type(fitness) is not float or not -MOST_FITNESS <= fitness <= MOST_FITNESS:  # NaN fails the comparison, too
            fitness = _fitness(fitness)
        known = self._open.get(trial.number)
        if known is not trial and known != trial:  # equal, not identical, after a state was loaded
            raise SpecError(
                f"trial {trial.number} is not open: it was told already, or another sampler made it; "
                f"tell each trial that ask() gave once"
            )
        del self._open[trial.number]
        self.learn(trial, fitness, metrics)

    def spec(self) -> dict[str, Any]:
        """Returns JSON from which `naslab.searchers.from_spec` makes this sampler again, in its initial state."""
        return {
            "searcher": self.name,
            "space": self.whole.spec(),
            "seed": self.seed,
            "hyperparameters": hyperparameters_to_spec(self.hyperparameters),
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Sampler:
        """Returns the sampler that `spec` described, in its initial state."""
        given = hyperparameters_from_spec(cls.Hyperparameters, spec["hyperparameters"])
        return cls(spaces.from_spec(spec["space"]), seed=spec["seed"], **given)

    def state_dict(self) -> State:
        """Returns a copy of everything that the next trial depends on. Its keys are those of run folders."""
        return {
            "asked": self.asked,
            "open": json.dumps([trial.to_record() for trial in self._open.values()]),
            "random": json.dumps(self.rng.bit_generator.state),
            "memory": self._algorithm_state_as_json(),
            **({"added": json.dumps([one.choices for one in self._added])} if self._added else {}),
            **self._mask_state(),
        }

    def _algorithm_state_as_json(self) -> str:
        try:
            return json.dumps(self.algorithm_state())
        except TypeError as error:
            raise SpecError(
                f"algorithm_state() of {self.name!r} must return JSON: {error}. Keep list(architecture.choices) of an "
                "architecture, which self.space.architecture(choices) reads back, and float(...) of a NumPy number"
            ) from error

    def load_state_dict(self, state: State) -> None:
        """Restores what `state_dict` returned; the next trials are the same bit for bit."""
        self.asked = int(state["asked"])  # type: ignore[arg-type]
        opened = [Trial.from_record(self.space, record) for record in json.loads(str(state["open"]))]
        self._open = {trial.number: trial for trial in opened}
        self.rng.bit_generator.state = json.loads(str(state["random"]))
        added = json.loads(str(state.get("added", "[]")))
        self._added = [Architecture(self.whole.name, tuple(choices)) for choices in added]
        # The mask comes first: `remasked` discards what was drawn ahead, and the algorithm's state then restores it.
        self._load_mask(state)
        self.load_algorithm_state(json.loads(str(state["memory"])))


keep_old_hooks(Sampler, HOOKS)  # `__init_subclass__` does not run for the class itself
