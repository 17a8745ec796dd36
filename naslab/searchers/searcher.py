"""What a searcher is to the rest of the house.

A *supernet searcher* owns shared weights and moves by mini-batches (`SupernetSearcher`). A *proposer*, which
evaluates nothing and speaks ask and tell, is its sibling (`Proposer`); with an estimator it makes steps
(`naslab.searchers.trials`). `naslab.Search` drives whatever is `Driven`, and knows of runs, snapshots and steering,
so that a searcher knows of none of them.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import numpy as np

from naslab import spaces
from naslab.architecture import Architecture
from naslab.blobs import Blobs
from naslab.errors import SpecError, plain, real, unknown, whole
from naslab.estimators.estimator import MOST_FITNESS
from naslab.events import Event, Measured
from naslab.immutable import FrozenDict
from naslab.quantities import FITNESS, Objective, Quantity
from naslab.randomness import BlockGenerator, numpy_generator
from naslab.searchers import adding
from naslab.searchers.keeping import KeepsStates
from naslab.searchers.masked import Masked
from naslab.searchers.settings import Act, Setting, Steerable
from naslab.searchers.settings import Knob as Knob
from naslab.searchers.signatures import document
from naslab.searchers.stretch import Stretch
from naslab.snapshot import State
from naslab.spaces.space import Space
from naslab.tasks import Task
from naslab.torch_state import InDefaultTorchState

Hyperparameters = TypeVar("Hyperparameters")

ACCURACY = "accuracy"
"""The objective of image classification."""


def read_hyperparameters(cls: type[Hyperparameters], given: Mapping[str, Any]) -> Hyperparameters:
    """The dataclass of a searcher's hyperparameters from keywords; `SpecError` for a name or value it refuses."""
    known = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for name in given:
        if name not in known:
            raise SpecError(unknown("hyperparameter", name, known))
    try:
        return cls(**given)
    except TypeError as error:
        raise SpecError(f"{cls.__name__}: {error}; given: {dict(given)}") from None


OF_PICTURES = {"loss": Quantity("min", "nats"), "accuracy": Quantity("max", "%")}
"""What is measured where a task does not say: all were of pictures, before one could."""


class Driven(Protocol):
    """What `naslab.Search` drives: moves by steps, one event each, and has a state that is the whole truth."""

    @property
    def space(self) -> Space: ...

    @property
    def step(self) -> int:
        """Steps finished so far."""
        ...

    @property
    def total(self) -> int:
        """Steps in the whole search."""
        ...

    @property
    def task(self) -> Any:
        """What is trained on, if anything."""
        ...

    def fingerprint(self) -> str:
        """Hex checksum of what the steps are judged by (data, an estimator); it must be the same when a run goes on."""
        ...

    def advance(self) -> Event:
        """Do one step."""
        ...

    def repeat(self, logged: Event) -> Event:
        """Do the step again that the event tells of; the event that comes of it is to be the same."""
        ...

    waited: float
    """Seconds of the last step that doing it again does without."""

    def beside(self) -> Sequence[Event]:
        """What is to be said beside the last step: `Phase`s that began with it, what was measured after it."""
        ...

    @property
    def best(self) -> Architecture: ...

    @property
    def metrics(self) -> Mapping[str, Quantity]:
        """What is known of the numbers in its events, by name, in the order in which they are shown."""
        ...

    @property
    def settings(self) -> Mapping[str, Setting]: ...

    def in_force(self, name: str) -> Any: ...

    def check_setting(self, name: str, value: Any) -> Any: ...

    def set(self, name: str, value: Any) -> None: ...

    def put(self, name: str, value: Any) -> None: ...

    def aged(self, name: str, value: Any, step: int) -> Any:
        """What a value of a setting would be by now that was put into force before this step."""
        ...

    def planned(self, values: Mapping[str, Any]) -> int:
        """Steps in the whole search, were these values of settings put into force now."""
        ...

    @property
    def end_of_epoch(self) -> int:
        """The step with which the epoch ends that the next step is in; `SpecError` where there are none."""
        ...

    @property
    def acts(self) -> Mapping[str, Act]: ...

    def check_act(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]: ...

    def act(self, name: str, arguments: Mapping[str, Any]) -> Any: ...

    def measure(self, name: str) -> float: ...

    def spec(self) -> dict[str, Any]: ...

    def state_dict(self) -> State: ...

    def load_state_dict(self, state: State) -> None: ...

    @property
    def alone(self) -> Any:
        """A context manager, to be held by whoever moves it."""
        ...

    def keep_states_in(self, blobs: Blobs) -> None:
        """Keep states besides the events there, from here on."""
        ...

    def keep_in(self, store: Path) -> None:
        """Keep what is dear to do again in this folder, from here on."""
        ...

    def take_trainings(self, other: Driven) -> None:
        """Take along what another has kept so, which this goes on from."""
        ...

    def check_workers(self, workers: int) -> int:
        """The number of candidates to be evaluated at once, if there can be so many."""
        ...

    def close(self) -> None:
        """Let go of what it holds besides memory."""
        ...


class SupernetSearcher(Steerable, KeepsStates, InDefaultTorchState, ABC):
    """Owns shared weights and moves by mini-batches: one `advance`, one step, one event.

    The same seed, space, task and knobs give the same events bit for bit, on one machine with one
    thread count. Randomness is derived from (seed, step), never kept in a generator, so that
    `state_dict` is the whole truth.
    """

    name: ClassVar[str]
    """Key in `naslab.searchers.SEARCHERS`."""
    measurable: ClassVar[tuple[str, ...]] = ()
    """Names of what `measure` knows."""
    space: Space
    task: Any
    waited = 0.0
    """Seconds of the last step that doing it again does without: none, for the weights are in no event."""
    in_default_torch_state = (
        "__init__",
        "advance",
        "repeat",
        "measure",
        "measure_child",
        "score",
        "accuracy",
        "beside",
        "probabilities",
        "best",
        "by_size",
        "state_dict",
        "load_state_dict",
    )

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        document(cls)

    @functools.cached_property
    def alone(self) -> AbstractContextManager[Any]:
        """To be held by whoever uses the shared weights, so that no other thread moves them meanwhile."""
        return threading.RLock()

    @property
    @abstractmethod
    def step(self) -> int:
        """Steps finished so far."""

    @property
    @abstractmethod
    def total(self) -> int:
        """Steps in the whole search."""

    @abstractmethod
    def advance(self) -> Event:
        """Do one step. Raises `Diverged` when something is no longer finite; the state is then not to be kept."""

    def ahead(self) -> list[Stretch]:
        """The steps that are left, by kinds that take about as long as each other."""
        left = self.total - self.step
        return [Stretch("steps", left, self.step, left)] if left > 0 else []

    def epochs_ahead(self) -> float | None:
        """Passes over the data that moves the weights that are left; None where they are not counted."""
        return None

    def stand_before(self, step: int) -> None:
        """Stand before a step, counted from 0, without having done those between: for a copy that is only to show how
        long a step takes, and is thrown away.
        """
        self._step = step

    @property
    def end_of_epoch(self) -> int:
        """The step with which the epoch ends that the next step is in; `SpecError` where there are none."""
        raise SpecError(f"{self.name} tells of no epochs; count its steps")

    @property
    @abstractmethod
    def best(self) -> Architecture:
        """What would be derived now."""

    @property
    def metrics(self) -> Mapping[str, Quantity]:
        """What is known of the numbers in its events, by name, in the order in which they are shown: those of the task,
        on the mini-batches that move the weights ("train/...") and on those that move or judge the architecture; and,
        where a metric needs all of the data, of the architecture that would be derived ("child/...").
        """
        metrics = self.task.metrics() if isinstance(self.task, Task) else {}
        measured = {name: metric.quantity for name, metric in metrics.items() if metric.every == "batch"} or OF_PICTURES
        over_a_pass = {name: metric.quantity for name, metric in metrics.items() if metric.every == "pass"}
        found = {f"{half}/{name}": quantity for name, quantity in measured.items() for half in ("train", "valid")}
        return {**found, **{f"child/{name}": quantity for name, quantity in over_a_pass.items()}}

    def keep_in(self, store: Path) -> None:
        """Nothing: all that it has learnt is in its state."""

    def take_trainings(self, other: Driven) -> None:
        """Nothing, likewise."""

    def check_workers(self, workers: int) -> int:
        """None: `SpecError`."""
        raise SpecError(f"workers=... is for proposers; {self.name!r} does one step at a time")

    def close(self) -> None:
        """Nothing is held but memory."""

    def fingerprint(self) -> str:
        """Of the data."""
        return self.task.fingerprint()

    def repeat(self, logged: Event) -> Event:
        """All over again: the weights are in no event."""
        return self.advance()

    def beside(self) -> list[Event]:
        """What is to be said beside the last step: `Phase`s that began with it, what was measured after it."""
        return []

    def _after_a_pass(self) -> list[Event]:
        """Metrics that need all of the data (`every="pass"`), of the architecture that would be derived now, by
        `measure_child` with the shared weights and the statistics of mini-batches: `child/<name>`.
        """
        names = [name for name, metric in self.task.metrics().items() if metric.every == "pass"]
        if not names:
            return []
        found = self.measure_child(self.best, metrics=names)
        return [Measured(step=self.step, name=f"child/{name}", value=value) for name, value in found.items()]

    def measure(self, name: str) -> float:
        """A figure too dear for every step, on request; which ones there are is the searcher's to say."""
        raise SpecError(f"{self.name} cannot measure {name!r}")

    def measure_child(
        self,
        child: Architecture,
        *,
        batch_norm: str = "batch",
        examples: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> dict[str, float]:
        """What the shared weights, as they are, make of an architecture: the task's metrics of it, by name.

        Changes nothing, and draws no random numbers: the next step is what it would have been. Dropout is off, and a
        network that carries a state from one mini-batch to the next begins with none.

        Args:
            child: any architecture of the space.
            batch_norm: what it is normalised by: "batch", the statistics of each mini-batch; "kept", the running
                ones; "recalibrated", running ones measured anew for this child on training data.
            examples: how many it is judged on, the first of the stream that the architecture is chosen by (images,
                rows of a text), in a fixed order; a few hundred if left out.
            metrics: which; all if left out.
        """
        raise SpecError(f"{self.name} shares no weights that could be ranked")

    def score(self, child: Architecture, *, batch_norm: str = "batch", examples: int | None = None) -> float:
        """The task's objective of an architecture with the shared weights as they are; arguments as of
        `measure_child`. Whether more of it is better, `task.quantities` says.
        """
        objective = self.task.objective
        if objective == ACCURACY:
            return self.accuracy(child, batch_norm=batch_norm, images=examples)
        return self.measure_child(child, batch_norm=batch_norm, examples=examples, metrics=[objective])[objective]

    def accuracy(self, child: Architecture, *, batch_norm: str = "batch", images: int | None = None) -> float:
        """The accuracy, in [0, 1], of an architecture with the shared weights as they are, for tasks that have one;
        arguments as of `measure_child`.
        """
        return self.measure_child(child, batch_norm=batch_norm, examples=images, metrics=[ACCURACY])[ACCURACY]

    @classmethod
    @abstractmethod
    def from_spec(cls, spec: dict[str, Any], task: Any = None) -> SupernetSearcher:
        """What `spec` described; `task` stands in for one that JSON cannot bring back."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """JSON from which `naslab.searchers.from_spec` makes this searcher again, as it was before its first step."""

    @abstractmethod
    def state_dict(self) -> State:
        """Everything that the next step depends on, copied."""

    @abstractmethod
    def load_state_dict(self, state: State) -> None:
        """Go on bit for bit from where `state_dict` was taken."""


class Draft(NamedTuple):
    """What a proposer wants to have evaluated next."""

    architecture: Architecture
    origin: str
    """How it came about: "random", "mutation", "promotion", ..."""
    parents: tuple[int, ...] = ()
    """Numbers of the proposals that it was made from."""
    fidelity: float | None = None
    """How much training the candidate is to have had in all, in epochs; None: as the estimator sees fit."""
    candidate: int | None = None
    """Number of the first proposal of the same candidate, when its training goes on; None for a new candidate."""
    begins_from: int | None = None
    """Number of the proposal whose trained weights it begins with: of the same candidate, to train on; of another, to
    inherit what fits. None: from new weights."""


class Proposal(NamedTuple):
    """An architecture that a proposer wants to know the fitness of: a `Draft` with its number."""

    number: int
    """Counts what the proposer has asked, from 1."""
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
    def from_record(cls, space: Space, record: Sequence[Any]) -> Proposal:
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


class Proposer(Masked, KeepsStates, ABC):
    """Proposes architectures (`ask`) and hears what they are worth (`tell`); evaluates nothing itself.

    Several proposals may be open at once, and be told in any order. The same seed, space, knobs and answers give the
    same proposals. `rng` is the one source of randomness, and its state a part of `state_dict`.
    """

    name: ClassVar[str]
    """Key in `naslab.searchers.SEARCHERS`."""
    Hyperparameters: ClassVar[type]
    """Frozen dataclass of what the algorithm can be given by keyword."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
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
        """Proposals so far."""
        self._open: dict[int, Proposal] = {}
        self._added: list[Architecture] = []
        """What is to be proposed next, given by hand."""
        self.begin()

    # --- what an algorithm must say --------------------------------------------------------------

    @abstractmethod
    def begin(self) -> None:
        """Set up the algorithm's own state; `space`, `rng` and `hyperparameters` are there."""

    @abstractmethod
    def propose(self) -> Draft:
        """What to evaluate next."""

    @abstractmethod
    def learn(self, proposal: Proposal, fitness: float | None, figures: Mapping[str, float]) -> None:
        """Take in what a proposal is worth, None for one that failed; and what else the estimator found."""

    @abstractmethod
    def memory(self) -> Any:
        """The algorithm's own state as JSON, copied; without `rng`."""

    @abstractmethod
    def remember(self, memory: Any) -> None:
        """Take back what `memory` gave."""

    @property
    def details(self) -> Mapping[str, float | Sequence[float]]:
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

    def suited(self, known: Collection[float]) -> Mapping[str, Any]:
        """Hyperparameters with which it would ask for trainings of these lengths only, in epochs; none if it cannot."""
        return {}

    adds: ClassVar[bool] = True
    """Whether it can propose an architecture that a hand gives, and learn from it."""

    def added(self, architecture: Architecture) -> Draft:
        """The draft of what a hand has given; a searcher that keeps account of its drafts notes it."""
        return Draft(architecture, "added")

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
    def hears_added(self) -> bool:
        """Whether what was added is proposed by `ask`, before whatever `propose` would; else `propose` does so."""
        return True

    # --- what follows ----------------------------------------------------------------------------

    @property
    def acts(self) -> Mapping[str, Act]:
        """What a hand can do: have an architecture proposed next."""
        return {**super().acts, **adding.acts(self)} if self.adds else super().acts

    @property
    def open(self) -> tuple[Proposal, ...]:
        """What was asked and is not told yet, in the order of asking."""
        return tuple(self._open.values())

    def suit(self, known: Collection[float]) -> None:
        """Before the first proposal: ask for trainings of these lengths only, if the user has said nothing of them."""
        suited = {} if set(self.fidelities) <= set(known) else self.suited(known)
        if suited and not suited.keys() & self._given:
            self.hyperparameters = dataclasses.replace(self.hyperparameters, **suited)
            self.begin()

    def ask(self) -> Proposal:
        """The next architecture to be evaluated."""
        draft = self.added(self._added.pop(0)) if self._added and self.hears_added else self.propose()
        architecture, origin, parents, fidelity, candidate, begins_from = draft
        if candidate is None and self.space is not self.whole:  # a mask is in force
            architecture = self.obeying(architecture, self.rng)
        self.asked = number = self.asked + 1
        first = number if candidate is None else candidate
        proposal = Proposal(number, architecture, origin, parents, fidelity, first, begins_from)
        self._open[number] = proposal
        return proposal

    def tell(self, proposal: Proposal, fitness: float | None, figures: Mapping[str, float] = FrozenDict({})) -> None:
        """What a proposal is worth, once: more is better. None says that it could not be evaluated.

        `figures` are what else is known of it: "parameters", "flops", "latency", "seconds", ...
        """
        if not isinstance(proposal, Proposal):
            raise SpecError(f"tell takes what ask() gave, a proposal, and its fitness; got {proposal!r:.200}")
        if type(fitness) is not float or not -MOST_FITNESS <= fitness <= MOST_FITNESS:
            fitness = _fitness(fitness)
        known = self._open.get(proposal.number)
        if known is not proposal and known != proposal:
            raise SpecError(
                f"proposal {proposal.number} is not open: it was told already, or another proposer made it; "
                f"tell each proposal that ask() gave once"
            )
        del self._open[proposal.number]
        self.learn(proposal, fitness, figures)

    def spec(self) -> dict[str, Any]:
        """JSON from which `naslab.searchers.from_spec` makes this proposer again, as it was at the beginning."""
        return {
            "searcher": self.name,
            "space": self.whole.spec(),
            "seed": self.seed,
            "hyperparameters": dataclasses.asdict(self.hyperparameters),
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Proposer:
        """What `spec` described."""
        return cls(spaces.from_spec(spec["space"]), seed=spec["seed"], **spec["hyperparameters"])

    def state_dict(self) -> State:
        """Everything that the next proposal depends on, copied."""
        return {
            "asked": self.asked,
            "open": json.dumps([proposal.to_record() for proposal in self._open.values()]),
            "random": json.dumps(self.rng.bit_generator.state),
            "memory": json.dumps(self.memory()),
            **({"added": json.dumps([one.choices for one in self._added])} if self._added else {}),
            **self._mask_state(),
        }

    def load_state_dict(self, state: State) -> None:
        """Go on bit for bit from where `state_dict` was taken."""
        self.asked = int(state["asked"])  # type: ignore[arg-type]
        opened = [Proposal.from_record(self.space, record) for record in json.loads(str(state["open"]))]
        self._open = {proposal.number: proposal for proposal in opened}
        self.rng.bit_generator.state = json.loads(str(state["random"]))
        added = json.loads(str(state.get("added", "[]")))
        self._added = [Architecture(self.whole.name, tuple(choices)) for choices in added]
        self._load_mask(state)  # first, for it may draw again what was drawn ahead
        self.remember(json.loads(str(state["memory"])))
