"""The mini-batches of a search: their order, the state carried from each to the next, and the randomness of layers.

A search reads two streams of data, for the weights and for the architecture (`Task.parts`). Where a stream has an
order, as a text has, a network begins a mini-batch with the hidden state with which it ended the one before. This
state, the *carry*, belongs to the stream and is saved with the search. A step reads it once, for everything that it
computes on the mini-batch, and writes it once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from naslab.modes import random_layers
from naslab.randomness import seeded, torch_generator
from naslab.snapshot import State
from naslab.tasks.streams import Stream, Timetable
from naslab.tasks.task import Task
from naslab.trees import packed, unpacked


class Taken(NamedTuple):
    """The mini-batch of a step."""

    batch: Any
    """The mini-batch in the task's own format."""
    inputs: Any
    """Argument of the network, carry included."""


class Seen(NamedTuple):
    """Outputs and loss of a forward pass, kept for the event of the step."""

    outputs: Any
    """Outputs of the network, detached from the autograd graph."""
    loss: Tensor
    """Loss of the task, without its regularisation; detached."""


class Feed:
    """The mini-batches of one stream, and its carry.

    Args:
        task: the task that reads the examples.
        stream: one part of its data.
        batch_size: examples in a mini-batch.
        seed: seed of the order and of the augmentation.
        name: purpose of the stream, such as "weights"; a part of the seed, so that streams have different orders.
        device: device of the mini-batches.
        augmented: whether the task's augmentation, if any, is applied.
    """

    def __init__(
        self,
        task: Task,
        stream: Stream,
        batch_size: int,
        seed: int,
        name: str,
        *,
        device: torch.device,
        augmented: bool = True,
    ) -> None:
        self.task, self.stream, self.seed, self.name, self.device = task, stream, seed, name, device
        self.timetable = Timetable(stream, batch_size, seed, name)
        self._augmented = augmented
        self._carry: Any = None

    def batch(self, step: int) -> Any:
        """Returns the mini-batch of a step, counted from 0. A function of (seed, name, step): nothing is consumed."""
        # a generator for each step, so that a resumed or forked search draws the same without repeating earlier steps
        augment = torch_generator(self.seed, "augment", self.name, step) if self._augmented else None
        where = self.timetable.where(step)
        return self.task.batch(where, split=self.stream.split, augment=augment, device=self.device)

    def take(self, step: int) -> Taken:
        """Returns the mini-batch of a step with its carry; without, at the start of a pass over the data."""
        batch = self.batch(step)
        # a pass begins in another order or at another place of the text, which the old hidden state says nothing about
        begins = not self.stream.carries or self.timetable.resets(step)
        return Taken(batch, self.task.inputs(batch, None if begins else self._carry))

    def resize(self, sizes: Iterable[tuple[int, int]]) -> None:
        """Set the batch sizes of the timetable. A pass over the data with a new size begins without a carry."""
        self.timetable.resize(sizes)

    def keep(self, outputs: Any) -> None:
        """Keep the carry in the outputs for the mini-batch that was taken, for the next one."""
        if self.stream.carries:
            self._carry = self.task.carry(outputs)

    def state(self) -> State:
        """Returns copies of carry and batch sizes; empty if nothing is carried and the size has never changed."""
        sizes = self.timetable.sizes
        state: State = {f"sizes/{self.name}": json.dumps(sizes)} if len(sizes) > 1 else {}
        if self._carry is None:
            return state
        structure, leaves = packed(self._carry)
        prefix = f"carry/{self.name}"
        return {**state, prefix: structure, **{f"{prefix}/{number}": leaf for number, leaf in leaves.items()}}

    def load(self, state: State) -> None:
        """Take back what `state` gave."""
        sizes = state.get(f"sizes/{self.name}")
        self.timetable.resize(self.timetable.sizes[:1] if sizes is None else json.loads(str(sizes)))
        prefix = f"carry/{self.name}"
        structure = state.get(prefix)
        leaves = {
            name.removeprefix(f"{prefix}/"): value
            for name, value in state.items()
            if name.startswith(f"{prefix}/") and isinstance(value, Tensor)
        }
        self._carry = None if structure is None else unpacked(str(structure), leaves, self.device)


def first_batches(task: Task, stream: Stream, count: int, batch_size: int, device: torch.device) -> Iterator[Any]:
    """Yields the first `count` examples of a stream in a fixed order, without augmentation, in nearly equal batches."""
    for where in stream.first(count).evenly(batch_size):
        yield task.batch(where, split=stream.split, device=device)


class LayerNoise:
    """Randomness of the layers of a network in training, such as dropout, as a function of (seed, purpose, step).

    Layers draw from torch's global generator; so it is seeded around each forward pass, and restored afterwards. For a
    network without such layers nothing is done.

    Args:
        network: the network.
        seed: seed of the search.
        device: where the network computes.
    """

    def __init__(self, network: nn.Module, seed: int, device: torch.device) -> None:
        self._seed, self._device, self._layers = seed, device, random_layers(network)

    def seeded_by(self, *words: int | str) -> AbstractContextManager[None]:
        """Inside the `with` block, the layers' draws are a function of the seed and these words."""
        return self._seeded(*words) if self._layers else nullcontext()

    def off(self) -> AbstractContextManager[None]:
        """Inside the `with` block, the random layers are in evaluation mode."""
        return self._off() if self._layers else nullcontext()

    @contextmanager
    def _off(self) -> Iterator[None]:
        before = [layer.training for layer in self._layers]
        for layer in self._layers:
            layer.training = False
        try:
            yield
        finally:
            for layer, training in zip(self._layers, before, strict=True):
                layer.training = training

    @contextmanager
    def _seeded(self, *words: int | str) -> Iterator[None]:
        with seeded(self._seed, "layers", *words, device=self._device):
            yield
