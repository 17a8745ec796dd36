"""What shared weights, as they are, make of one child: its metrics, by one of three kinds of normalisation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from naslab.errors import SpecError, among, unknown, whole
from naslab.networks.batch_norm import enough_to_normalise, normalised
from naslab.searchers.feed import first_batches
from naslab.tasks.metrics import Measurement
from naslab.tasks.streams import Stream
from naslab.tasks.task import Task

EXAMPLES = 512
"""To judge a child on, if nothing else is said and there are as many."""


def example_size(task: Task, batch_size: int) -> int:
    """What one example counts in the `size` of the task: 1 image; the tokens of one row of a mini-batch of text."""
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
    """Metrics of a child, each over all examples that it is judged on. Changes nothing, and is the same whenever it is
    asked for: nothing is augmented, and nothing in the network is random.

    A network that carries a state begins with none, and carries it on from each mini-batch to the next.

    Args:
        network: with the shared weights.
        forward: of the child: inputs -> outputs.
        task: what the streams are of.
        train: what the weights see; as much of its beginning as is judged on recalibrates.
        valid: what the weights do not see; its beginning judges.
        batch_norm: see `naslab.networks.batch_norm.BATCH_NORM`.
        examples: how many of each.
        batch_size: at most so many at once, in parts as equal as can be.
        device: of the network.
        names: of the metrics; None: all of them.
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
        raise SpecError(f"{called}={many} is more than the {there} validation {called}; give at most so many")

    carry: Any = None

    def run(batch: Any) -> Any:
        nonlocal carry
        outputs = forward(task.inputs(batch, carry))
        carry = task.carry(outputs) if valid.carries else None
        return outputs

    found = Measurement({name: metrics[name] for name in wanted})
    looked_at = first_batches(task, train, min(many * each, len(train)), batch_size, device)
    with enough_to_normalise(1, advice, task.units), normalised(network, batch_norm, run, looked_at):
        carry = None
        for batch in first_batches(task, valid, min(many * each, len(valid)), batch_size, device):
            found.update(run(batch), batch)
    return found.compute()
