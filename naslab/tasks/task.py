"""What is to be learnt: where the data comes from, what a network reads and gives, what it is judged by.

Everything above this floor carries batches and outputs from here to there and looks into neither. So whatever can say
what stands here can be searched for: image classification, language, detection, several tasks at once.
"""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from naslab.errors import DataError, NaslabError, SpecError, real
from naslab.quantities import Quantity
from naslab.tasks.metrics import MISTAKES, Metric, WrongTask
from naslab.tasks.signature import Signature
from naslab.tasks.streams import Stream
from naslab.trees import described, tensors

LOSS = "loss"


def _judging(judge: Callable[..., Any], what: str, *, scalar: bool) -> Callable[..., Any]:
    """A method from outputs and a batch that says what it was given where it cannot make anything of it."""

    @functools.wraps(judge)
    def judged(self: Task, outputs: Any, batch: Any, **options: Any) -> Any:
        try:
            found = judge(self, outputs, batch, **options)
        except (NaslabError, torch.OutOfMemoryError):
            raise
        except MISTAKES as error:
            raise _not_judged(self, what, outputs, error) from error
        if scalar and not (isinstance(found, Tensor) and found.ndim == 0):
            raise WrongTask(
                f"{what} of the task {self.name!r} is to be a tensor without axes, the mean over what `size` counts; "
                f"it is {described(found)}"
            )
        if scalar and torch.is_grad_enabled() and not found.requires_grad and _learns(outputs):
            raise WrongTask(
                f"{what} of the task {self.name!r} has no gradient, though what the network gives has one: it is not "
                "to be computed of detached or whole numbers"
            )
        return found

    return judged


def _learns(outputs: Any) -> bool:
    return any(tensor.requires_grad for tensor in tensors(outputs))


def _not_judged(task: Task, what: str, outputs: Any, error: Exception) -> WrongTask:
    heads = task.signature.heads
    wanted = f"a dictionary with {', '.join(heads)}" if len(heads) > 1 else "the numbers of its only head"
    return WrongTask(
        f"{what} of the task {task.name!r} cannot be computed of what the network gives, {described(outputs)}: "
        f"{type(error).__name__}: {error!s:.300}. By the task's signature a network of a space gives {wanted}; mend "
        "the task, or give it a network that it understands"
    )


class Task(ABC):
    """A task. Batches and outputs are trees of tensors (`naslab.trees`) whose meaning only the task knows.

    A class of your own says `signature`, `parts`, `stream`, `batch`, `loss`, `metrics`, `objective`, `spec` and
    `fingerprint`; the rest has defaults. Runs find it again by its attribute `name`, or the name of the class.
    """

    name: str
    units: ClassVar[str] = "examples"
    """What `size` counts, for people: "images", "tokens"."""
    augmentation: Any = None
    """Random changes to training batches, with a `draw` and an `apply` of its own; None where there are none."""
    notes: tuple[str, ...] = ()
    """What should be said wherever a result is shown, or was found when the data was read."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        for name, scalar in (("loss", True), ("regularisation", False)):
            if inspect.isfunction(judge := vars(cls).get(name)):
                setattr(cls, name, _judging(judge, f"the {name}", scalar=scalar))
        super().__init_subclass__(**kwargs)

    # --- what a task must say ----------------------------------------------------------------------

    @property
    @abstractmethod
    def signature(self) -> Signature:
        """What a network is given, and what its heads give."""

    @abstractmethod
    def parts(self, seed: int, fraction: float = 0.5) -> tuple[Stream, Stream]:
        """Two disjoint streams: for the weights, and for the architecture. A task with validation data of its own gives
        that as the second, whatever the fraction.
        """

    @abstractmethod
    def stream(self, split: str) -> Stream:
        """All of a split: "train", "valid" where the data has its own, "test"."""

    @abstractmethod
    def batch(
        self,
        where: Any,
        *,
        split: str = "train",
        augment: torch.Generator | None = None,
        device: str | torch.device = "cpu",
        rows: slice = slice(None),
        view: Any = None,
    ) -> Any:
        """A mini-batch.

        Args:
            where: which part of the data, from a `Stream`.
            split: of that stream.
            augment: what random changes are drawn from; None: the data as it is.
            device: where the tensors go.
            rows: which rows of the mini-batch to make. What is random is drawn for all of it, so that processes which
                share out a mini-batch see the same data as one process that keeps it.
            view: what an architecture asks of its data, such as a resolution; None: nothing.
        """

    @abstractmethod
    def loss(self, outputs: Any, batch: Any, *, smoothing: float = 0.0) -> Tensor:
        """What weights and architecture go down by: a scalar, the mean over what `size` counts."""

    @abstractmethod
    def metrics(self) -> Mapping[str, Metric]:
        """Name -> what is measured of outputs. The loss is always among them."""

    @property
    @abstractmethod
    def objective(self) -> str:
        """Name of the metric that is the fitness of an architecture."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """JSON from which `naslab.tasks.from_spec` makes this task again, with "task" and "fingerprint" in it."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Hex checksum: the same for the same data, judged in the same way."""

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """The task that `spec` describes, for data that can be found again."""
        raise DataError(
            f"the data of the task {spec.get('task')!r} is not kept in a run: make the task again and hand it over, "
            "Search.open(path, task=...)"
        )

    def as_recorded(self, spec: Mapping[str, Any]) -> Self:
        """This task, handed over for a run that kept `spec`, with all that the spec says of it beside the data: options
        that change how it is learnt. By default the task itself.
        """
        return self

    # --- what has a default ------------------------------------------------------------------------

    @property
    def splits(self) -> Mapping[str, int]:
        """Split -> how much there is of it (`units`)."""
        found = {}
        for split in ("train", "valid", "test"):
            try:
                found[split] = len(self.stream(split))
            except DataError:
                continue
        return found

    @property
    def reward(self) -> str:
        """What a controller is paid by, of one mini-batch: a metric, or "-" and one that is to be small."""
        metric = self.metrics()[self.objective]
        if metric.every == "batch":
            return self.objective if metric.direction == "max" else f"-{self.objective}"
        return f"-{LOSS}"

    def inputs(self, batch: Any, carry: Any = None) -> Any:
        """What the network is called with.

        Args:
            batch: from `batch`.
            carry: what `carry` gave after the mini-batch before this one of the same stream; None at its beginning.
        """
        if not isinstance(batch, tuple | list) or not batch:
            raise WrongTask(
                f"a mini-batch of the task {self.name!r} is {described(batch)}: where it is no tuple that begins with "
                "what the network is called with, the task has a method `inputs(batch, carry)`"
            )
        return batch[0]

    def carry(self, outputs: Any) -> Any:
        """What the next mini-batch of this stream begins with: detached tensors in tuples, lists or dictionaries, or
        None.
        """
        return None

    def example(self, count: int, *, device: str | torch.device = "cpu", view: Any = None) -> Any:
        """A mini-batch like any other, for measuring memory and time and for tracing."""
        stream = self.stream("train")
        where = next(iter(stream.sweep(min(count, len(stream)))))
        return self.batch(where, split=stream.split, device=device, view=view)

    def size(self, batch: Any) -> int:
        """How much is in a mini-batch: its weight in every mean."""
        from naslab.trees import tensors

        return len(tensors(batch)[0])

    def nominal_size(self, batch_size: int) -> int:
        """The `size` of an ordinary mini-batch; a learning rate may be scaled by what a shorter one lacks."""
        return batch_size

    def regularisation(self, outputs: Any, batch: Any) -> Tensor | None:
        """What the step of the weights alone goes down by beside the loss; None for nothing."""
        return None

    def predict(self, network: nn.Module, batch: Any) -> Any:
        """What people want to see of a network: boxes, sentences. By default its outputs."""
        return network(self.inputs(batch))

    def distance(self, outputs: Any, teacher: Any, batch: Any) -> Tensor:
        """How far outputs are from those of a teacher, for distillation."""
        raise SpecError(f"the task {self.name!r} has no distance between outputs, and so no distillation")

    def check_outputs(self, outputs: Any, batch: Any) -> None:
        """`SpecError` if a network's outputs cannot be judged; it says what was expected. By default nothing is."""
        return None

    def with_auxiliary(self, outputs: Any) -> tuple[Any, Any]:
        """Outputs, and those of an auxiliary head that a network may give in training; None where there is none."""
        return outputs, None

    def augmented(self, **changes: Any) -> Self:
        """The same data, augmented in another way."""
        raise SpecError(f"the task {self.name!r} has no augmentation to change")

    def reduced(self, data: float = 1.0, size: int | None = None) -> Self:
        """The same task with less to do, for a training of low fidelity that does not look at the test data.

        Args:
            data: share of the training data, its own validation data included.
            size: of each example, such as the side of an image; None: as it is.
        """
        if share_of(data) != 1 or size is not None:
            raise SpecError(
                f"the task {self.name!r} cannot be reduced; leave data at 1.0 and size at None, not {data:g} and {size}"
            )
        return self

    # --- what follows --------------------------------------------------------------------------------

    @property
    def quantities(self) -> dict[str, Quantity]:
        """Name of each metric -> its direction and unit."""
        return {name: metric.quantity for name, metric in self.metrics().items()}

    def measured(self, outputs: Any, batch: Any, *, loss: float | None = None) -> dict[str, float]:
        """The metrics that make sense of one mini-batch.

        Args:
            loss: that of the mini-batch, if it is known; it is not computed again then.
        """
        found = {} if loss is None else {LOSS: loss}
        for name, metric in self.metrics().items():
            if metric.every == "batch" and name not in found:
                found[name] = self._number(name, metric, outputs, batch)
        return found

    def _number(self, name: str, metric: Metric, outputs: Any, batch: Any) -> float:
        """A metric of one mini-batch."""
        try:
            return float(metric.of(outputs, batch))
        except (NaslabError, torch.OutOfMemoryError):
            raise
        except MISTAKES as error:
            raise _not_judged(self, f"the metric {name!r}", outputs, error) from error

    def reward_of(self, outputs: Any, batch: Any) -> float:
        """What a controller is paid for a mini-batch; more is better."""
        sign, name = (-1.0, self.reward[1:]) if self.reward.startswith("-") else (1.0, self.reward)
        return sign * self._number(name, self.metrics()[name], outputs, batch)

    def fitness_of(self, value: float) -> float:
        """The objective's value as a fitness: more is better."""
        return value if self.metrics()[self.objective].direction == "max" else -value


def share_of(data: Any) -> float:
    """The share of the training data that a reduced task keeps, if it is one."""
    if not 0 < (share := real("data", data)) <= 1:
        raise SpecError(f"data is the share of the training data, above 0 and up to 1, not {data!r:.100}")
    return share
