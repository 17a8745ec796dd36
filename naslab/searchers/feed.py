"""The mini-batches of a search: which ones, what is carried from each to the next, and what is random about them.

A search reads two streams of data, for the weights and for the architecture (`Task.parts`). Where a stream has an
order, as a text has, a network begins a mini-batch with the state that it ended the one before with. That state, the
*carry*, belongs to the stream and is a part of the state of the search: a step reads it once, for everything that it
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
    """As the task knows it."""
    inputs: Any
    """What the network is called with."""


class Feed:
    """The mini-batches of one stream, and its carry.

    Args:
        task: what the stream is of.
        stream: one of its parts.
        batch_size: B.
        seed: of the order and of the augmentation.
        name: of what the stream is for, which names the order, too.
        device: where the mini-batches go.
        augmented: whether there are random changes to them, if the task has such.
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
        """The mini-batch of a step of the stream, counted from 0."""
        augment = torch_generator(self.seed, "augment", self.name, step) if self._augmented else None
        where = self.timetable.where(step)
        return self.task.batch(where, split=self.stream.split, augment=augment, device=self.device)

    def take(self, step: int) -> Taken:
        """The mini-batch of a step, with what is carried into it."""
        batch = self.batch(step)
        begins = not self.stream.carries or self.timetable.resets(step)
        return Taken(batch, self.task.inputs(batch, None if begins else self._carry))

    def resize(self, sizes: Iterable[tuple[int, int]]) -> None:
        """Take other `sizes` of the timetable; a pass of another size begins with nothing carried."""
        self.timetable.resize(sizes)

    def keep(self, outputs: Any) -> None:
        """The mini-batch that was taken is done with: its outputs say what is carried into the next."""
        if self.stream.carries:
            self._carry = self.task.carry(outputs)

    def state(self) -> State:
        """Copies; empty where nothing is carried, and all mini-batches are of one size."""
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
    """The mini-batches that a stream begins with, in a fixed order and as they are, in parts as equal as can be."""
    for where in stream.first(count).evenly(batch_size):
        yield task.batch(where, split=stream.split, device=device)


class LayerNoise:
    """What the layers of a network draw when they train, dropout above all, as a function of (seed, what for, step).

    A network without such layers costs nothing, and takes nothing from torch's generator.
    """

    def __init__(self, network: nn.Module, seed: int) -> None:
        self._seed, self._layers = seed, random_layers(network)

    def seeded_by(self, *words: int | str) -> AbstractContextManager[None]:
        """Inside, the layers draw what these words name."""
        return self._seeded(*words) if self._layers else nullcontext()

    def off(self) -> AbstractContextManager[None]:
        """Inside, nothing is random."""
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
        with seeded(self._seed, "layers", *words):
            yield
