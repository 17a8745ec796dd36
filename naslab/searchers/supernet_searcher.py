"""The base class of searchers that own shared weights and move by mini-batches."""

from __future__ import annotations

import functools
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

from naslab.architecture import Architecture
from naslab.errors import SpecError
from naslab.events import Event, Measured
from naslab.quantities import Quantity
from naslab.searchers.keeping import KeepsStates
from naslab.searchers.searcher import Stepper
from naslab.searchers.settings import Steerable
from naslab.searchers.signatures import document
from naslab.searchers.stretch import Stretch
from naslab.snapshot import State
from naslab.spaces.space import Space
from naslab.tasks import Task
from naslab.torch_state import InDefaultTorchState

ACCURACY = "accuracy"
"""The objective of image classification."""


OF_PICTURES = {"loss": Quantity("min", "nats"), "accuracy": Quantity("max", "%")}
"""What is measured where a task does not say: all were of pictures, before one could."""


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

    def take_trainings(self, other: Stepper) -> None:
        """Nothing, likewise."""

    def check_workers(self, workers: int) -> int:
        """None: `SpecError`."""
        raise SpecError(f"workers=... is for samplers; {self.name!r} does one step at a time")

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
