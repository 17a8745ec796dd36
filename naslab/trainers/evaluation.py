"""Evaluation of a network: every metric of its task, in one pass over a part of the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from naslab.tasks.measurement import Measurement
from naslab.tasks.streams import Stream
from naslab.tasks.task import Task
from naslab.trainers.processes import Group
from naslab.trees import detached

Forward = Callable[[Any, Any], Any]
"""(batch, carried state or None) -> the outputs of a network in evaluation mode."""
ALONE = Group()


@torch.no_grad()
def evaluate(
    forward: Forward,
    task: Task,
    stream: Stream,
    batch_size: int,
    *,
    group: Group = ALONE,
    device: str | torch.device = "cpu",
) -> dict[str, float]:
    """Returns the value of each of the task's metrics over the stream, by name.

    A metric is computed once, from sums over all mini-batches and processes: a perplexity is that of all tokens, not a
    mean of perplexities. A recurrent state that is carried from one mini-batch to the next starts empty.

    Args:
        forward: the network as a function of a mini-batch and the carried state.
        task: task that defines the metrics.
        stream: the part of the data.
        batch_size: examples in a mini-batch, or columns where a state is carried.
        group: the processes that share the work: each takes some of the mini-batches, or some columns of each.
        device: where the network is.
    """
    measurement = Measurement(task.metrics())
    carry = None
    for number, where in enumerate(stream.sweep(batch_size)):
        if not stream.carries and number % group.size != group.rank:
            continue
        rows = slice(group.rank, None, group.size) if stream.carries else slice(None)
        batch = task.batch(where, split=stream.split, device=device, rows=rows)
        if not task.size(batch):  # more processes than columns: this one has no data
            continue
        outputs = forward(batch, carry)
        if stream.carries:
            carry = detached(task.carry(outputs))
        measurement.update(outputs, batch)
    if group.size > 1:
        measurement.merge(group.gather(measurement.states))
    return measurement.compute()
