"""Checks of a task before the first step, with errors that say what was expected."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from naslab.callers import caller_level
from naslab.errors import DataError, SpecError, among, unknown, whole
from naslab.tasks.metrics import Metric
from naslab.tasks.signature import Signature
from naslab.tasks.streams import Stream
from naslab.tasks.task import LOSS, Task


def check_task(task: Any, who: str) -> Task:
    """Returns the task if its name, signature, metrics, objective and reward are valid.

    Args:
        task: what a user passed.
        who: what needs the task, as the error names it, for instance "Darts".

    Raises:
        SpecError: it is not a task, or one of these is not valid.
    """
    if not isinstance(task, Task):
        raise SpecError(
            f"{who} needs a task, such as nl.tasks.FashionMNIST(), or one of your own that extends nl.tasks.Task; not "
            f"{task!r:.100}"
        )
    if not isinstance(task.name, str):
        raise SpecError(f"the name of a task is a string, by which runs find it again; not {task.name!r:.100}")
    if not isinstance(task.signature, Signature):
        raise SpecError(
            f"the signature of the task {task.name!r} is a nl.tasks.Signature(inputs=..., heads=...), not "
            f"{task.signature!r:.100}"
        )
    metrics = task.metrics() if callable(task.metrics) else task.metrics
    if (
        metrics is task.metrics
        or not isinstance(metrics, Mapping)
        or not all(isinstance(name, str) for name in metrics)
    ):
        raise SpecError(
            f"metrics() of the task {task.name!r} is a method that returns a dictionary of metrics by name, not "
            f"{metrics!r:.100}"
        )
    if LOSS not in metrics:
        raise SpecError(f"the metrics of the task {task.name!r} lack the loss; it has {', '.join(metrics) or 'none'}")
    for name, metric in metrics.items():
        if not isinstance(metric, Metric):
            raise SpecError(
                f"the metric {name!r} of the task {task.name!r} must be a naslab.tasks.metrics.Metric, which has a "
                f"direction; it is {metric!r:.100}"
            )
        if not hasattr(metric, "quantity"):
            raise SpecError(
                f"the metric {name!r} of the task {task.name!r} has no direction; have {type(metric).__name__}."
                "__init__ call super().__init__(direction='max'), or 'min'"
            )
    # Events and charts refer to metrics by name for the whole run, so that these must not change between two calls.
    if task.quantities != task.quantities or list(task.metrics()) != list(metrics):
        raise SpecError(
            f"the metrics of the task {task.name!r} change from one call of metrics() to the next; the names, "
            "directions and units of a task are always the same"
        )
    if not among(task.objective, metrics):
        raise SpecError(f"the objective of the task {task.name!r}: {unknown('metric', task.objective, metrics)}")
    if not among(name := task.reward.removeprefix("-"), metrics):
        raise SpecError(f"the reward of the task {task.name!r}: {unknown('metric', name, metrics)}")
    if metrics[task.reward.removeprefix("-")].every != "batch":
        raise SpecError(
            f"the reward of the task {task.name!r} is {task.reward!r}, which is not defined for one mini-batch; take "
            f"'-{LOSS}'"
        )
    return task


def parts_of(task: Task, seed: int, fraction: float, batch_size: int) -> tuple[Stream, Stream]:
    """Returns `Task.parts`, the streams for the weights and for the architecture, if each can fill a mini-batch.

    Args:
        task: what to split.
        seed: which random split.
        fraction: share of the training data that moves the weights.
        batch_size: examples of a mini-batch.

    Raises:
        SpecError: the parts are not a pair of streams.
        DataError: a part has fewer examples than a mini-batch. Streams of text check this themselves, when they are cut
            into chunks.
    """
    found = task.parts(seed, fraction)
    if not isinstance(found, tuple | list) or len(found) != 2 or not all(isinstance(one, Stream) for one in found):
        raise SpecError(
            f"the parts of the task {task.name!r} are two streams, for the weights and for the architecture, such as "
            f"nl.tasks.Exchangeable(range(100)); not {found!r:.200}"
        )
    smaller = min((len(one) for one in found if not one.carries), default=batch_size)
    if smaller < batch_size:
        splits = task.splits
        counts = ", ".join(f"{splits[split]} to {what}" for split, what in _COUNTED.items() if split in splits)
        portion = "" if "valid" in splits else f", train_portion={fraction:g}"
        advice = f"take batch_size={smaller} or less" if smaller else "give more data"
        raise DataError(
            f"a batch of {batch_size} is larger than the {smaller} {task.units} of the smaller part of the training "
            f"data ({counts}{portion}); {advice}{', or another train_portion' if portion else ''}"
        )
    return found[0], found[1]


_COUNTED = {"train": "train on", "valid": "validate on"}


def warn_of_unused_portion(task: Task, name: str, portion: float) -> None:
    """Warn, once a process for each task and value, that a share of the training data has no effect.

    A task with validation data of its own, the split "valid", ignores the fraction of `Task.parts`.

    Args:
        task: what is searched for.
        name: keyword that the user gave, for instance "train_portion".
        portion: its value.
    """
    if "valid" not in task.splits or (task.name, name, portion) in _warned:
        return
    _warned.add((task.name, name, portion))
    warnings.warn(
        f"{name}={portion:g} has no effect: the task {task.name!r} has validation data of its own, "
        f"{task.splits['valid']:,} {task.units}, and architectures are chosen by all of that; leave {name} out",
        stacklevel=caller_level(),
    )


_warned: set[tuple[str, str, float]] = set()
"""(task, keyword, value) of the warnings that were shown in this process."""


def check_example(task: Task) -> None:
    """Raises `SpecError` if an example of a task does not match its signature."""
    batch = task.example(1)
    inputs, expected = task.inputs(batch), task.signature.inputs
    given = _first_tensors(inputs)
    fields = expected if isinstance(expected, Mapping) else {"": expected}
    if isinstance(expected, Mapping):
        if not isinstance(inputs, Mapping) or set(inputs) != set(expected):
            came = sorted(inputs) if isinstance(inputs, Mapping) else type(inputs).__name__
            raise SpecError(
                f"the signature of the task {task.name!r} has the inputs {', '.join(expected)}, and its example has "
                f"{came}"
            )
        given = inputs
    for name, field in fields.items():
        tensor = given.get(name)
        what = f"input {name!r}" if name else "input"
        if not isinstance(tensor, Tensor):
            raise SpecError(f"the {what} of the task {task.name!r} must be a tensor, not {type(tensor).__name__}")
        shape, dtype = tuple(tensor.shape[1:]), str(tensor.dtype).removeprefix("torch.")
        fits = len(shape) == len(field.shape) and all(
            wanted is None or wanted == size for wanted, size in zip(field.shape, shape, strict=False)
        )
        largest = int(tensor.max()) if field.vocabulary is not None and tensor.numel() else -math.inf
        if not fits or dtype != field.dtype or largest >= (field.vocabulary or math.inf):
            raise SpecError(
                f"the signature of the task {task.name!r} says that the {what} of an example is {field}, and the first "
                f"one is {list(shape)} {dtype}{'' if largest == -math.inf else f' up to {largest}'}"
            )
    whole(f"the size of a mini-batch of the task {task.name!r}", task.size(batch), 0)


def _first_tensors(inputs: Any) -> dict[str, Any]:
    """Returns the first input under the empty name. Others may follow: a carried state, the name of a head."""
    return {"": inputs[0] if isinstance(inputs, tuple | list) and inputs else inputs}
