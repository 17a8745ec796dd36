"""The interface of a task: its data, what a network reads and returns, its loss and its metrics.

Searchers, trainers and estimators pass batches and outputs between a task and a network and never look into them. A
search therefore works for any task that implements this interface: image classification, language modelling, detection,
several tasks at once.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from naslab.errors import DataError, NaslabError, SpecError, real
from naslab.quantities import Quantity
from naslab.tasks.metrics import MISTAKES, Metric, NoNumber, WrongTask, expected_number, soon
from naslab.tasks.signature import Signature
from naslab.tasks.streams import Stream
from naslab.tasks.wrapping import arriving, judging, not_judged
from naslab.transfer import Number, Pending, numbers, pending
from naslab.trees import described, tensors

LOSS = "loss"
"""Name of the metric that every task has."""


class Task(ABC):
    """A learning task. Batches and outputs are trees of tensors (`naslab.trees`) whose meaning only the task knows.

    A subclass implements `signature`, `parts`, `stream`, `batch`, `loss`, `metrics`, `objective`, `spec` and
    `fingerprint`; the rest has defaults. A run folder finds the class again by its attribute `name`, or by the name of
    the class.
    """

    name: str
    units: ClassVar[str] = "examples"
    """Plural of what `size` counts, as texts say it: "images", "tokens"."""
    augmentation: Any = None
    """Random changes to training batches, an object with `draw` and `apply`; None for no changes."""
    notes: tuple[str, ...] = ()
    """Remarks that are shown beside every result, or that came up when the data was read."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        for name, scalar in (("loss", True), ("regularisation", False)):
            if inspect.isfunction(judge := vars(cls).get(name)):
                setattr(cls, name, judging(judge, f"the {name}", scalar=scalar))
        for name in ("batch", "example"):
            if inspect.isfunction(make := vars(cls).get(name)):
                setattr(cls, name, arriving(make))
        super().__init_subclass__(**kwargs)

    # --- abstract ----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def signature(self) -> Signature:
        """Inputs that a network is called with, and the outputs of its heads."""

    @abstractmethod
    def parts(self, seed: int, fraction: float = 0.5) -> tuple[Stream, Stream]:
        """Returns two disjoint streams: one to train the weights, one to train or score architectures.

        A task with validation data of its own, that is with a split "valid", returns this as the second stream,
        whatever the fraction.

        Args:
            seed: which random split of the training data.
            fraction: share of the training data that is in the first stream.
        """

    @abstractmethod
    def stream(self, split: str) -> Stream:
        """Returns all data of a split.

        Args:
            split: "train", "test", or "valid" if the data has validation data of its own.

        Raises:
            DataError: there is no such split.
        """

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
        """Returns a mini-batch: any tree of tensors; by default its first member is the input of the network.

        Args:
            where: which part of the data, a value that `Stream.where` returned.
            split: split of that stream.
            augment: source of the random numbers of the augmentation; None returns the data unchanged.
            device: device of the tensors.
            rows: which rows of the mini-batch to return. Random numbers are drawn for all rows, so that processes that
                divide a mini-batch among them see the same data as one process that computes all of it.
            view: what an architecture requires of its data, such as a resolution; None for nothing.
        """

    @abstractmethod
    def loss(self, outputs: Any, batch: Any, *, smoothing: float = 0.0) -> Tensor:
        """Returns the loss that weights and architecture minimise: a tensor without axes, the mean over what `size`
        counts.

        Args:
            outputs: what the network returned.
            batch: the mini-batch that it was called with.
            smoothing: label smoothing, in [0, 1); a task without labels ignores it.
        """

    @abstractmethod
    def metrics(self) -> Mapping[str, Metric]:
        """Returns the metrics by name; `LOSS` is always one of them."""

    @property
    @abstractmethod
    def objective(self) -> str:
        """Name of the metric by which architectures are ranked."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """Returns JSON from which `naslab.tasks.from_spec` makes an equal task; it has "task" and "fingerprint"."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Returns a checksum in hexadecimal digits, equal for the same data with the same loss and metrics."""

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> Self:
        """Returns the task that `spec` describes, if its data can be loaded again.

        Raises:
            DataError: it cannot; the default.
        """
        raise DataError(
            f"the data of the task {spec.get('task')!r} is not kept in a run: make the task again and pass it, "
            "Search.open(path, task=...)"
        )

    def as_recorded(self, spec: Mapping[str, Any]) -> Self:
        """Returns this task with the options that a run recorded, such as the length of a text's chunks.

        Called when a user passes the task to open a run; by default it returns the task itself.
        """
        return self

    # --- defaults ----------------------------------------------------------------------------------

    @property
    def splits(self) -> Mapping[str, int]:
        """Name of each split -> its size, counted in `units`."""
        found = {}
        for split in ("train", "valid", "test"):
            try:
                found[split] = len(self.stream(split))
            except DataError:
                continue
            except (LookupError, TypeError) as error:
                raise WrongTask(
                    f"stream({split!r}) of the task {self.name!r} raises {type(error).__name__}: {error!s:.300}; "
                    "expected a stream, or naslab.errors.DataError if the data has no such split"
                ) from error
        return found

    @property
    def reward(self) -> str:
        """Metric of one mini-batch that rewards a controller; "-" before the name negates one that is minimised."""
        metric = self.metrics()[self.objective]
        if metric.every == "batch":
            return self.objective if metric.direction == "max" else f"-{self.objective}"
        return f"-{LOSS}"

    def inputs(self, batch: Any, carry: Any = None) -> Any:
        """Returns the input of the network.

        Args:
            batch: what `batch` returned.
            carry: what `carry` returned after the previous mini-batch of the same stream; None at its beginning.
        """
        if not isinstance(batch, tuple | list) or not batch:
            raise WrongTask(
                f"a mini-batch of the task {self.name!r} is {described(batch)}; expected a tuple that begins with the "
                "input of the network, or a task that overrides the method `inputs(batch, carry)`"
            )
        return batch[0]

    def carry(self, outputs: Any) -> Any:
        """Returns the state with which the next mini-batch of this stream begins, such as the hidden state of a
        recurrent network: detached tensors in tuples, lists or dictionaries; None for no state.
        """
        return None

    def example(self, count: int, *, device: str | torch.device = "cpu", view: Any = None) -> Any:
        """Returns a mini-batch of `count` training examples, to measure memory and time and to trace networks."""
        stream = self.stream("train")
        where = next(iter(stream.sweep(min(count, len(stream)))))
        return self.batch(where, split=stream.split, device=device, view=view)

    def size(self, batch: Any) -> int:
        """Returns the number of `units` in a mini-batch, which is its weight in every mean."""

        return len(tensors(batch)[0])

    def nominal_size(self, batch_size: int) -> int:
        """Returns the `size` of a full mini-batch, by which the learning rate of a shorter one may be scaled."""
        return batch_size

    def regularisation(self, outputs: Any, batch: Any) -> Tensor | None:
        """Returns a term that is added to the loss in steps of the weights only; None for no term."""
        return None

    def predict(self, network: nn.Module, batch: Any) -> Any:
        """Returns the outputs in a form to show to people, such as boxes or sentences; by default the outputs."""
        return network(self.inputs(batch))

    def distance(self, outputs: Any, teacher: Any, batch: Any) -> Tensor:
        """Returns the loss of outputs against those of a teacher, for distillation: a tensor without axes.

        Raises:
            SpecError: the task defines none; the default.
        """
        raise SpecError(f"the task {self.name!r} defines no distance between outputs, so that it cannot be distilled")

    def check_outputs(self, outputs: Any, batch: Any) -> None:
        """Raises `SpecError`, which says what was expected, if outputs do not fit this task; by default never."""
        return None

    def with_auxiliary(self, outputs: Any) -> tuple[Any, Any]:
        """Returns the outputs, and those of an auxiliary head that a network may have in training, or None."""
        return outputs, None

    def augmented(self, **changes: Any) -> Self:
        """Returns the same data with another augmentation."""
        raise SpecError(f"the task {self.name!r} has no augmentation to change")

    def reduced(self, data: float = 1.0, size: int | None = None) -> Self:
        """Returns the task with less or smaller data, for training at low fidelity; the test data is not used there.

        Args:
            data: share of the training data to keep, in (0, 1]; validation data of its own is included.
            size: size of each example, such as the side of an image in pixels; None keeps it.

        Raises:
            SpecError: the task cannot be reduced; the default.
        """
        if share_of(data) != 1 or size is not None:
            raise SpecError(
                f"the task {self.name!r} cannot be reduced; leave data at 1.0 and size at None, not {data:g} and {size}"
            )
        return self

    # --- derived -----------------------------------------------------------------------------------

    @property
    def quantities(self) -> dict[str, Quantity]:
        """Name of each metric -> its direction and unit."""
        return {name: metric.quantity for name, metric in self.metrics().items()}

    def measured(self, outputs: Any, batch: Any, *, loss: float | None = None) -> dict[str, float]:
        """Returns the value of each metric that is defined for a single mini-batch.

        Args:
            outputs: what the network returned.
            batch: the mini-batch.
            loss: its loss, if known, which is then not computed again.
        """
        found = self._pending_metrics(outputs, batch, loss)
        return dict(zip(found, numbers(found.values()), strict=True))

    def pending_metrics(self, outputs: Any, batch: Any, *, loss: Tensor) -> dict[str, Number]:
        """Returns what `measured` does, as numbers that `naslab.transfer.numbers` reads from the device together.

        A task with a `measured` of its own reads them at once.
        """
        if type(self).measured is not Task.measured:
            return {**self.measured(outputs, batch, loss=float(loss.detach()))}
        return self._pending_metrics(outputs, batch, loss.detach())

    def _pending_metrics(self, outputs: Any, batch: Any, loss: Number | None) -> dict[str, Number]:
        found: dict[str, Number] = {} if loss is None else {LOSS: loss}
        for name, metric in self.metrics().items():
            if metric.every == "batch" and name not in found:
                found[name] = self._number(name, metric, outputs, batch)
        return found

    def _number(self, name: str, metric: Metric, outputs: Any, batch: Any) -> float | Pending:
        """Returns the value of a metric for one mini-batch; errors name the metric and the task."""
        try:
            return soon(metric.pending(outputs, batch))
        except (NaslabError, torch.OutOfMemoryError):
            raise
        except NoNumber as error:
            raise expected_number(name, error) from error
        except MISTAKES as error:
            raise not_judged(self, f"the metric {name!r}", outputs, error) from error

    def reward_of(self, outputs: Any, batch: Any) -> float:
        """Returns the reward of a controller for one mini-batch; more is better."""
        return numbers([self._pending_reward(outputs, batch)])[0]

    def pending_reward(self, outputs: Any, batch: Any) -> Number:
        """Returns the reward of one mini-batch as a number that `naslab.transfer.numbers` reads from the device.

        A task with a `reward_of` of its own reads it at once.
        """
        if type(self).reward_of is not Task.reward_of:
            return self.reward_of(outputs, batch)
        return self._pending_reward(outputs, batch)

    def _pending_reward(self, outputs: Any, batch: Any) -> Number:
        sign, name = (-1.0, self.reward[1:]) if self.reward.startswith("-") else (1.0, self.reward)
        return pending(lambda value: sign * value, self._number(name, self.metrics()[name], outputs, batch))

    def fitness_of(self, value: float) -> float:
        """Returns a value of the objective as a fitness, of which more is better: negated if it is minimised."""
        return value if self.metrics()[self.objective].direction == "max" else -value

    def __repr__(self) -> str:
        """Returns one line: name, size of each split, inputs and outputs of a network, and the objective.

        It never raises, because error messages show tasks that are not implemented completely.
        """
        name = getattr(self, "name", type(self).__name__)
        with suppress(Exception):
            counts = ", ".join(f"{count:,} {split}" for split, count in self.splits.items())
            direction = {"max": "more", "min": "less"}[self.metrics()[self.objective].direction]
            return (
                f"<{name}: {counts} {self.units}; {self.signature}; objective {self.objective}, {direction} is better>"
            )
        return f"<{name}: a task of class {type(self).__name__}>"


def share_of(data: Any) -> float:
    """Returns `data` as a float; `SpecError` unless it is a share of the training data, in (0, 1]."""
    if not 0 < (share := real("data", data)) <= 1:
        raise SpecError(f"data is the share of the training data, above 0 and up to 1, not {data!r:.100}")
    return share
