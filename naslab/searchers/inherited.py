"""Metrics of one child with shared weights, with one of three kinds of batch-normalization statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from naslab.errors import SpecError, among, unknown, whole
from naslab.networks.batch_norm import enough_to_normalise, normalised
from naslab.searchers.feed import first_batches
from naslab.tasks.measurement import Measurement
from naslab.tasks.streams import Stream
from naslab.tasks.task import Task

EXAMPLES = 512
"""Default number of validation examples that a child is scored on; fewer if there are fewer."""


def example_size(task: Task, batch_size: int) -> int:
    """Returns the size of one example in the units of the task: 1 image; the tokens of one row of a batch of text."""
    return max(1, task.nominal_size(batch_size) // batch_size)


def inherited_metrics(
    network: nn.Module,
    forward: Callable[[Any], Any],
    task: Task,
    train: Stream,
    valid: Stream,
    *,
    batch_norm: str,
    examples: int | None,
    batch_size: int,
    device: torch.device,
    names: Iterable[str] | None = None,
) -> dict[str, float]:
    """Returns the metrics of a child, each over all examples that it is scored on.

    Changes nothing, and is deterministic: without augmentation, dropout or drop-path. A network that carries a state
    starts without one, and carries it from each mini-batch to the next.

    Args:
        network: supernet with the shared weights.
        forward: inputs -> outputs of the child.
        task: task of the streams.
        train: training data of the weights, whose beginning recalibrates batch normalization.
        valid: data that the weights are not trained on, whose beginning scores the child.
        batch_norm: see `naslab.networks.batch_norm.BATCH_NORM`.
        examples: number of examples of either; None: `EXAMPLES`.
        batch_size: maximum size of a mini-batch; all are of about equal size.
        device: device of the network.
        names: names of the metrics; None: all of them.

    Raises:
        SpecError: a metric is unknown, or there are too few examples.
    """
    called = "images" if task.units == "images" else "examples"
    advice = f"judge by 2 {called} or more, in mini-batches of 2 or more (batch_size), or by batch_norm='kept'"
    metrics, each = task.metrics(), example_size(task, batch_size)
    wanted = list(metrics) if names is None else list(names)
    for name in wanted:
        if not among(name, metrics):
            raise SpecError(f"the task {task.name!r}: {unknown('metric', name, metrics)}")
    there = max(1, len(valid) // each)
    many = min(EXAMPLES, there) if examples is None else whole(called, examples, 1)
    if many > there:
        raise SpecError(f"{called}={many} is more than the {there} validation {called}; give at most {there}")

    carry: Any = None

    def run(batch: Any) -> Any:
        nonlocal carry
        outputs = forward(task.inputs(batch, carry))
        carry = task.carry(outputs) if valid.carries else None
        return outputs

    found = Measurement({name: metrics[name] for name in wanted})
    looked_at = first_batches(task, train, min(many * each, len(train)), batch_size, device)
    with enough_to_normalise(1, advice, task.units), normalised(network, batch_norm, run, looked_at):
        carry = None  # the recalibration left the state of the training data
        for batch in first_batches(task, valid, min(many * each, len(valid)), batch_size, device):
            found.update(run(batch), batch)
    return found.compute()
