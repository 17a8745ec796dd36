"""The base class of searchers that train a supernet, one mini-batch at a time."""

from __future__ import annotations

import functools
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import torch

from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.events import Event, Measured
from naslab.networks.step_memory import StepMemory
from naslab.numerics import Numerics
from naslab.out_of_memory import MARGIN, available_or_none, release, smaller, within_memory
from naslab.quantities import Quantity
from naslab.searchers.batch_size import BATCH_SIZE
from naslab.searchers.keeping import KeepsStates
from naslab.searchers.searcher import Stepper
from naslab.searchers.settings import Count, Steerable
from naslab.searchers.signatures import document
from naslab.searchers.stretch import Stretch
from naslab.snapshot import State
from naslab.spaces.space import Space
from naslab.tasks import Task
from naslab.torch_state import InDefaultTorchState

ACCURACY = "accuracy"
"""The objective of image classification."""


OF_PICTURES = {"loss": Quantity("min", "nats"), "accuracy": Quantity("max", "%")}
"""Metrics of a task that does not name its own: such tasks, of earlier versions, are image classification."""


HELP = {
    "measure": "go on without this measurement, or with a smaller batch_size",
    "measure_child": "give fewer examples=...",
    "accuracy": "give fewer images=...",
}
"""Method -> what to do if it runs out of memory."""


class SupernetSearcher(Steerable, KeepsStates, InDefaultTorchState, ABC):
    """A searcher that owns shared weights: each `advance` is one step on mini-batches and returns one event.

    The same seed, space, task and settings give the same events bit for bit, on one machine with one number of threads.
    Randomness is a function of (seed, purpose, step) and never kept in a generator, so that `state_dict` holds all that
    the next step depends on.
    """

    name: ClassVar[str]
    """Key in `naslab.searchers.SEARCHERS`."""
    measurable: ClassVar[tuple[str, ...]] = ()
    """Names of the measurements that `measure` offers."""
    space: Space
    task: Any
    device: torch.device = torch.device("cpu")
    """Where it computes."""
    waited = 0.0
    """Seconds of the last step that a replay would save: none, since events do not hold the weights."""
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
    numerics: Numerics | None = None
    """How a GPU computes; None leaves it as the process has it set."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("advance", "measure", "measure_child", "accuracy", "beside"):
            if name in vars(cls):
                setattr(cls, name, _with_its_numerics(vars(cls)[name]))
        for name in ("advance", *HELP):
            if name in vars(cls):
                setattr(cls, name, _within_memory(vars(cls)[name]))
        document(cls)

    @functools.cached_property
    def alone(self) -> AbstractContextManager[Any]:
        """Lock to hold while using the shared weights, so that no other thread changes them meanwhile."""
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
        """Do one step and return its event.

        Raises:
            Diverged: a loss, gradient or parameter is NaN or infinite. The state is then not to be kept.
            OutOfMemory: there is too little memory. Nor is the state; the error names a batch size that fits.
        """

    def ahead(self) -> list[Stretch]:
        """Returns the remaining steps, grouped into kinds whose steps take about the same time."""
        left = self.total - self.step
        return [Stretch("steps", left, self.step, left)] if left > 0 else []

    def epochs_ahead(self) -> float | None:
        """Returns the remaining passes over the data that trains the weights; None if they are not counted."""
        return None

    def stand_before(self, step: int) -> None:
        """Jump to just before a step, counted from 0, without doing those between.

        Only for a copy that measures how long such a step takes, and is then discarded: its state is inconsistent.
        """
        self._step = step

    @property
    def end_of_epoch(self) -> int:
        """Last step of the epoch that the next step is in. Raises `SpecError` if the searcher has no epochs."""
        raise SpecError(f"{self.name} has no epochs; count its steps")

    @property
    def begin_of_epoch(self) -> int:
        """Number of steps before the epoch that the next step is in; 0 if there are no epochs."""
        return 0

    def _relieve(self) -> None:
        """After a step that was broken off: drop what it left in memory, such as gradients."""

    def _step_memory(self) -> StepMemory | None:
        """Returns an estimate of the memory of the next step; None if there is none."""
        return None

    def _smaller_batch(self) -> tuple[str, int | None]:
        """Returns what to do about a step that ran out of memory, and the batch size that fits, if one is known."""
        self._relieve()
        setting = self.settings.get(BATCH_SIZE)
        if not isinstance(setting, Count):
            return "Take a smaller space or a smaller batch_size", None
        size = setting.value if setting.now is None else setting.now
        free, memory = available_or_none(self.device), None
        try:
            memory = self._step_memory()
        except (RuntimeError, MemoryError, SpecError):  # not even a few examples fit, or the network is unlike ours
            release(self.device)
        # What lasts is there already, and the free memory is what it has left.
        fits = None if memory is None or free is None else memory.largest_batch(MARGIN * free + memory.lasting)
        found = smaller(size, fits)
        if found is None:
            return f"Not even one example seems to fit beside it; take fewer channels or cells, and not {size}", None
        why = f"About {found} examples fit" if fits is not None and fits < size else "Half as many examples may fit"
        say, begin = f'search.set("{BATCH_SIZE}", {found})', self.begin_of_epoch
        if begin < self.step:
            say = f"search.rewind({begin}); {say}"
        return (
            f"{why}, instead of {size}: {say} goes on with them from step {begin + 1}, where the epoch begins; "
            "next(search) tries the step again as it is, if others have freed memory",
            found,
        )

    @property
    @abstractmethod
    def best(self) -> Architecture:
        """The architecture that would be derived now."""

    @property
    def metrics(self) -> Mapping[str, Quantity]:
        """Direction and unit of each metric in the events, by name, in the order in which they are shown.

        Metrics of the task on the mini-batches that train the weights ("train/...") and on those that train or evaluate
        the architecture ("valid/..."); a metric that needs all of the data is one of the derived architecture
        ("child/...").
        """
        metrics = self.task.metrics() if isinstance(self.task, Task) else {}
        measured = {name: metric.quantity for name, metric in metrics.items() if metric.every == "batch"} or OF_PICTURES
        over_a_pass = {name: metric.quantity for name, metric in metrics.items() if metric.every == "pass"}
        found = {f"{half}/{name}": quantity for name, quantity in measured.items() for half in ("train", "valid")}
        return {**found, **{f"child/{name}": quantity for name, quantity in over_a_pass.items()}}

    def keep_in(self, store: Path) -> None:
        """Does nothing: the state holds all that was learnt."""

    def take_trainings(self, other: Stepper) -> None:
        """Does nothing, for the same reason."""

    def check_workers(self, workers: int) -> int:
        """Raises `SpecError`: a supernet has no candidates to train in parallel."""
        raise SpecError(f"workers=... is for samplers; {self.name!r} does one step at a time")

    def close(self) -> None:
        """Does nothing: only memory is held."""

    def fingerprint(self) -> str:
        """Returns the fingerprint of the data."""
        return self.task.fingerprint()

    def repeat(self, logged: Event) -> Event:
        """Do a logged step again, in full, since events do not hold the weights."""
        return self.advance()

    def beside(self) -> list[Event]:
        """Returns further events of the last step: phases that began with it, and measurements made after it."""
        return []

    def _after_a_pass(self) -> list[Event]:
        """Returns events `child/<name>` for the metrics that need all of the data (`every="pass"`).

        They are measured by `measure_child` on the architecture that would be derived now.
        """
        names = [name for name, metric in self.task.metrics().items() if metric.every == "pass"]
        if not names:
            return []
        found = self.measure_child(self.best, metrics=names)
        return [Measured(step=self.step, name=f"child/{name}", value=value) for name, value in found.items()]

    def measure(self, name: str) -> float:
        """Returns a measurement that is too expensive for every step; `measurable` lists the names."""
        offered = f"it measures {', '.join(self.measurable)}" if self.measurable else "it measures nothing on request"
        raise SpecError(f"{self.name} cannot measure {name!r}; {offered}")

    def measure_child(
        self,
        child: Architecture,
        *,
        batch_norm: str = "batch",
        examples: int | None = None,
        metrics: Sequence[str] | None = None,
    ) -> dict[str, float]:
        """Returns the task's metrics of an architecture with the current shared weights, by name.

        Changes nothing and draws no random numbers: the next step is what it would have been. Dropout is off, and a
        network that carries a state from one mini-batch to the next begins with none.

        Args:
            child: any architecture of the space.
            batch_norm: statistics that normalise it: "batch", those of each mini-batch; "kept", the running ones;
                "recalibrated", running ones measured anew for this child on training data.
            examples: number of examples (images, rows of a text): the first of the validation stream, in a fixed order;
                a few hundred if left out.
            metrics: names of the metrics; all if left out.
        """
        raise SpecError(f"{self.name} has no shared weights with which a child could be evaluated")

    def score(self, child: Architecture, *, batch_norm: str = "batch", examples: int | None = None) -> float:
        """Returns the task's objective of an architecture with the current shared weights.

        Arguments are those of `measure_child`; `task.quantities` has the direction of the objective.
        """
        objective = self.task.objective
        if objective == ACCURACY:
            return self.accuracy(child, batch_norm=batch_norm, images=examples)
        return self.measure_child(child, batch_norm=batch_norm, examples=examples, metrics=[objective])[objective]

    def accuracy(self, child: Architecture, *, batch_norm: str = "batch", images: int | None = None) -> float:
        """Returns the accuracy, in [0, 1], of an architecture with the current shared weights, for tasks that have it.

        Arguments are those of `measure_child`.
        """
        return self.measure_child(child, batch_norm=batch_norm, examples=images, metrics=[ACCURACY])[ACCURACY]

    @classmethod
    @abstractmethod
    def from_spec(cls, spec: dict[str, Any], task: Any = None) -> SupernetSearcher:
        """Returns the searcher that `spec` described; `task` replaces one that cannot be made from JSON."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """Returns JSON from which `naslab.searchers.from_spec` makes this searcher, as it was before its first step."""

    @abstractmethod
    def state_dict(self) -> State:
        """Returns a copy of everything that the next step depends on."""

    @abstractmethod
    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` returned; the search then goes on from there bit for bit."""


def _with_its_numerics(method: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a method of a searcher that computes with the searcher's own settings of a GPU."""

    @functools.wraps(method)
    def computed(self: SupernetSearcher, *args: Any, **kwargs: Any) -> Any:
        if self.numerics is None or not self.numerics.applies:
            return method(self, *args, **kwargs)
        with self.alone, self.numerics.in_force():  # in this order everywhere, so that no two threads wait in a circle
            return method(self, *args, **kwargs)

    return computed


def _within_memory(method: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a method of a searcher that raises `OutOfMemory` if it runs out of memory, once that is free again."""

    @functools.wraps(method)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        def advice() -> tuple[str, int | None]:
            if method.__name__ == "advance":
                return self._smaller_batch()
            return f"Nothing is lost: {HELP[method.__name__]}", None

        what = f"step {self.step + 1}" if method.__name__ == "advance" else f"{method.__name__} at step {self.step}"
        return within_memory(lambda: method(self, *args, **kwargs), self.device, advice, what=what)

    return run
