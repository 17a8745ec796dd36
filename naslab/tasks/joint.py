"""Several tasks at once, for multi-task learning: one network with the heads of all of them (Caruana, "Multitask
Learning", Machine Learning 28, 1997).

    task = Joint({"digit": digits, "ink": ink})

Each mini-batch is one of a single task, and trains what all tasks share and the heads of this one. A pass has every
mini-batch of every task once, those of each task spread evenly over it, so that neither is forgotten at its end. The
network computes all heads of a mini-batch, and the loss looks at those of its task: any space that builds networks with
several heads (`naslab.networks.heads`) works for a `Joint`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from naslab.directions import Direction
from naslab.errors import DataError, SpecError, among, unknown
from naslab.immutable import FrozenDict
from naslab.tasks.interleaved import Interleaved, Share
from naslab.tasks.metrics import Mean, Metric
from naslab.tasks.signature import Head, Signature
from naslab.tasks.task import LOSS, Task

JOINT = "joint"
"""Name of the task in a spec."""


class OfOneTask(Metric):
    """A metric of one of several tasks, which ignores the mini-batches of the others; NaN where there was none.

    Args:
        joint: the tasks.
        name: name of the task.
        metric: its metric.
    """

    def __init__(self, joint: Joint, name: str, metric: Metric) -> None:
        super().__init__(metric.direction, metric.unit, "pass")
        self._joint, self._name, self._metric = joint, name, metric

    def update(self, state: Any, outputs: Any, batch: Any) -> Any:
        name, own = self._joint.of(batch)
        return state if name != self._name else self._metric.update(state, self._joint.heads_of(name, outputs), own)

    def merge(self, states: Sequence[Any]) -> Any:
        seen = [state for state in states if state is not None]
        return self._metric.merge(seen) if seen else None

    def compute(self, state: Any) -> float:
        return math.nan if state is None else self._metric.compute(state)

    def weighed(self, per: float) -> OfOneTask:
        return OfOneTask(self._joint, self._name, self._metric.weighed(per))


class MeanOfTasks(Metric):
    """Mean over the tasks of one metric of each; NaN until each task has had a mini-batch.

    Args:
        metrics: the metric of each task, all of one direction.
        unit: unit of the mean.
    """

    def __init__(self, metrics: Sequence[OfOneTask], direction: Direction, unit: str) -> None:
        super().__init__(direction, unit, "pass")
        self._metrics = tuple(metrics)

    def update(self, state: Any, outputs: Any, batch: Any) -> tuple[Any, ...]:
        states = state or (None,) * len(self._metrics)
        return tuple(one.update(own, outputs, batch) for one, own in zip(self._metrics, states, strict=True))

    def merge(self, states: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(one.merge(own) for one, own in zip(self._metrics, zip(*states, strict=True), strict=True))

    def compute(self, state: Any) -> float:
        found = [one.compute(own) for one, own in zip(self._metrics, state, strict=True)]
        return sum(found) / len(found)

    def weighed(self, per: float) -> MeanOfTasks:
        return MeanOfTasks([one.weighed(per) for one in self._metrics], self.direction, self.unit)  # type: ignore[arg-type]


class Joint(Task):
    """Several tasks with the same inputs, as one: a mini-batch is of one of them, and the network has the heads of all.

    A batch is a dictionary {name of the task: its batch}. A task with one head gives the joint network a head of the
    task's name, one with several a head "task/head" for each. Metrics are called "task/metric"; they are computed over
    a whole pass, as one mini-batch says nothing about the other tasks.

    Args:
        tasks: name -> task, at least two, with equal inputs.
        objective: metric that ranks architectures, such as "digit/accuracy". None: the mean of the objectives of all
            tasks, called "mean_" and their common name, or "mean_objective" if they have several.

    Raises:
        SpecError: the inputs differ; or there is no mean of the objectives, as some are maximised and others minimised.
    """

    name = JOINT

    def __init__(self, tasks: Mapping[str, Task], objective: str | None = None) -> None:
        if not isinstance(tasks, Mapping) or not all(isinstance(task, Task) for task in tasks.values()):
            raise SpecError(f'several tasks are given by name, Joint({{"a": task, "b": other}}), not {tasks!r:.200}')
        if len(tasks) < 2:
            raise SpecError(f"a Joint has at least two tasks, not {len(tasks)}; a single one needs no Joint")
        for name in tasks:
            if not isinstance(name, str) or not name or "/" in name or "." in name:
                raise SpecError(f"the name of a task in a Joint is a word without '/' and '.', not {name!r:.100}")
        self.tasks = FrozenDict(tasks)
        first, *rest = tasks
        for other in rest:
            given, wanted = tasks[other].signature.inputs, tasks[first].signature.inputs
            if given != wanted:
                raise SpecError(
                    f"the tasks of a Joint share a network, and so their inputs: {first!r} has {_said(wanted)}, and "
                    f"{other!r} {_said(given)}; bring them to one shape, and words to one vocabulary"
                )
            if tasks[other].nominal_size(1) != tasks[first].nominal_size(1):
                raise SpecError(
                    f"a mini-batch of {other!r} counts {tasks[other].nominal_size(1)} {tasks[other].units} an example, "
                    f"and one of {first!r} {tasks[first].nominal_size(1)} {tasks[first].units}; give all tasks of a "
                    "Joint the same length"
                )
        self._signature = Signature(
            tasks[first].signature.inputs,
            {whole: head for name in tasks for _, whole, head in self._heads(name)},
        )
        units = {task.units for task in tasks.values()}
        self.units = units.pop() if len(units) == 1 else "examples"  # type: ignore[misc]
        self.notes = tuple(f"{name}: {note}" for name, task in tasks.items() for note in task.notes)
        if any(task.stream("train").carries for task in tasks.values()):
            self.notes += ("every mini-batch begins without a state, as the one before it is another task's",)
        self._given = objective
        known = self.metrics()
        if objective is not None and not among(objective, known):
            raise SpecError(unknown("metric of these tasks", objective, known))
        if objective is None and self._mean_name not in known:
            said = ", ".join(f"{name}/{task.objective}" for name, task in tasks.items())
            raise SpecError(
                f"of the objectives {said} some are maximised and others minimised, so that their mean ranks nothing; "
                "give objective= one of them"
            )

    def _heads(self, name: str) -> Iterator[tuple[str, str, Head]]:
        """Yields for each head of a task its name there, its name here, and the head."""
        heads = self.tasks[name].signature.heads
        for own, head in heads.items():
            yield own, name if len(heads) == 1 else f"{name}/{own}", head

    # --- mini-batches and outputs of one task ------------------------------------------------------

    def of(self, batch: Any) -> tuple[str, Any]:
        """Returns the name of the task of a mini-batch, and the mini-batch as this task made it."""
        (name, own), *_ = batch.items()
        return name, own

    def heads_of(self, name: str, outputs: Any) -> Any:
        """Returns the outputs for one task as this task expects them: of one head, or a dictionary of several."""
        own = {head: outputs[whole] for head, whole, _ in self._heads(name)}
        return own if len(own) > 1 else next(iter(own.values()))

    # --- description -------------------------------------------------------------------------------

    @property
    def signature(self) -> Signature:
        return self._signature

    @property
    def objective(self) -> str:
        return self._mean_name if self._given is None else self._given

    @property
    def reward(self) -> str:
        return f"-{LOSS}"

    @property
    def _mean_name(self) -> str:
        names = {task.objective for task in self.tasks.values()}
        return f"mean_{names.pop()}" if len(names) == 1 else "mean_objective"

    def metrics(self) -> Mapping[str, Metric]:
        """Returns the loss of each mini-batch, the mean of the objectives, if there is one, and the metrics of each
        task."""
        found: dict[str, Metric] = {
            LOSS: Mean(lambda outputs, batch: self.loss(outputs, batch), self.size, direction="min")
        }
        of_tasks = {
            f"{name}/{metric}": OfOneTask(self, name, one)
            for name, task in self.tasks.items()
            for metric, one in task.metrics().items()
        }
        ranking = [of_tasks[f"{name}/{task.objective}"] for name, task in self.tasks.items()]
        directions: set[Direction] = {one.direction for one in ranking}
        if len(directions) == 1:
            units = {one.unit for one in ranking}
            found[self._mean_name] = MeanOfTasks(ranking, directions.pop(), units.pop() if len(units) == 1 else "")
        return {**found, **of_tasks}

    def spec(self) -> dict[str, Any]:
        return {
            "task": self.name,
            "tasks": {name: task.spec() for name, task in self.tasks.items()},
            "objective": self._given,
            "fingerprint": self.fingerprint(),
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        from naslab.tasks import from_spec

        return cls({name: from_spec(one) for name, one in spec["tasks"].items()}, spec["objective"])

    def as_recorded(self, spec: Mapping[str, Any]) -> Self:
        from naslab.tasks import from_spec

        if spec.get("task") != self.name:
            return self
        recorded = spec["tasks"]
        if list(recorded) != list(self.tasks):
            raise DataError(
                f"the run was made with the tasks {', '.join(recorded)}, and task=... has {', '.join(self.tasks)}"
            )
        again = {name: from_spec(recorded[name], task) for name, task in self.tasks.items()}
        return type(self)(again, spec["objective"])

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for name, task in self.tasks.items():
            digest.update(f"{name}\0{task.fingerprint()}\0".encode())
        return digest.hexdigest()

    # --- data --------------------------------------------------------------------------------------

    def stream(self, split: str) -> Interleaved:
        return Interleaved({name: task.stream(split) for name, task in self.tasks.items()}, split)

    def parts(self, seed: int, fraction: float = 0.5) -> tuple[Interleaved, Interleaved]:
        """Returns the parts of all tasks, interleaved; each task decides by itself whether the fraction applies."""
        pairs = {name: task.parts(seed, fraction) for name, task in self.tasks.items()}
        weights = {name: pair[0] for name, pair in pairs.items()}
        architecture = {name: pair[1] for name, pair in pairs.items()}
        own = {stream.split for stream in architecture.values()}
        return Interleaved(weights, "train"), Interleaved(architecture, own.pop() if len(own) == 1 else "train")

    def batch(
        self,
        where: Share,
        *,
        split: str = "train",
        augment: torch.Generator | None = None,
        device: str | torch.device = "cpu",
        rows: slice = slice(None),
        view: Any = None,
    ) -> dict[str, Any]:
        """Returns {name of a task: its mini-batch}; `where` knows the split."""
        if not isinstance(where, Share) or where.task not in self.tasks:
            raise DataError(f"a mini-batch of several tasks is taken from one of their streams, not {where!r:.100}")
        task = self.tasks[where.task]
        own = task.batch(where.where, split=where.split, augment=augment, device=device, rows=rows, view=view)
        return {where.task: own}

    def inputs(self, batch: Any, carry: Any = None) -> Any:
        name, own = self.of(batch)
        return self.tasks[name].inputs(own)

    def size(self, batch: Any) -> int:
        name, own = self.of(batch)
        return self.tasks[name].size(own)

    def nominal_size(self, batch_size: int) -> int:
        return next(iter(self.tasks.values())).nominal_size(batch_size)

    # --- loss --------------------------------------------------------------------------------------

    def loss(self, outputs: Any, batch: Any, *, smoothing: float = 0.0) -> Tensor:
        """Returns the loss of the task of this mini-batch."""
        name, own = self.of(batch)
        return self.tasks[name].loss(self.heads_of(name, outputs), own, smoothing=smoothing)

    def regularisation(self, outputs: Any, batch: Any) -> Tensor | None:
        name, own = self.of(batch)
        return self.tasks[name].regularisation(self.heads_of(name, outputs), own)

    def distance(self, outputs: Any, teacher: Any, batch: Any) -> Tensor:
        name, own = self.of(batch)
        return self.tasks[name].distance(self.heads_of(name, outputs), self.heads_of(name, teacher), own)

    def check_outputs(self, outputs: Any, batch: Any) -> None:
        missing = [head for head in self.signature.heads if not isinstance(outputs, Mapping) or head not in outputs]
        if missing:
            raise SpecError(
                f"the network must give a dictionary with {', '.join(self.signature.heads)}; {missing[0]} is missing"
            )
        name, own = self.of(batch)
        self.tasks[name].check_outputs(self.heads_of(name, outputs), own)

    def with_auxiliary(self, outputs: Any) -> tuple[Any, Any]:
        return outputs if isinstance(outputs, tuple) and len(outputs) == 2 else (outputs, None)

    def predict(self, network: nn.Module, batch: Any) -> Any:
        """Returns {name of the task: what it predicts}."""
        name, own = self.of(batch)
        return {name: self.tasks[name].predict(_Through(self, name, network), own)}

    # --- variants ----------------------------------------------------------------------------------

    def augmented(self, **changes: Any) -> Self:
        """Returns the same tasks, each with this augmentation."""
        return type(self)({name: task.augmented(**changes) for name, task in self.tasks.items()}, self._given)

    def reduced(self, data: float = 1.0, size: int | None = None) -> Self:
        return type(self)({name: task.reduced(data, size) for name, task in self.tasks.items()}, self._given)


class _Through(nn.Module):
    """A network as one of several tasks sees it: its outputs are those of the heads of this task."""

    def __init__(self, joint: Joint, name: str, network: nn.Module) -> None:
        super().__init__()
        self._joint, self._name, self.network = joint, name, network

    def forward(self, inputs: Any) -> Any:
        return self._joint.heads_of(self._name, self.network(inputs))


def _said(inputs: Any) -> str:
    return (
        ", ".join(f"{name}: {field}" for name, field in inputs.items()) if isinstance(inputs, Mapping) else f"{inputs}"
    )
