"""Streams: the order of the mini-batches of a task, as a pure function of the step.

Nothing is shuffled in place and no position is kept, so that a search that is resumed, rewound or run on another
machine sees the same mini-batches at the same steps.

A pass over a stream is divided into mini-batches. Exchangeable examples have a new random order in every pass. In
sequential data, such as text, each mini-batch continues the one before it, and a network may carry its state over.
`where` returns which part of the data a mini-batch is, in a form that only the task understands: indices of images, or
a range of the columns of a text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from naslab.errors import DataError, listed
from naslab.tasks.order import batch_indices, epoch_length

INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
"""Integer types that indices may have; bool is not one of them."""
Word = int | str
"""Part of the key of a random choice (`naslab.randomness`): the seed, or a word for its purpose."""


class Stream(ABC):
    """A part of the data of a task, divided into mini-batches."""

    split: str
    """Split of the task: "train", "valid" or "test"."""
    carries = False
    """True if each mini-batch continues the one before it, so that the state of a network can be carried over."""

    @abstractmethod
    def __len__(self) -> int:
        """Returns the size: the number of images, tokens or rows."""

    @abstractmethod
    def steps(self, batch_size: int, epoch: int, *words: Word) -> int:
        """Returns the number of mini-batches of a pass.

        Args:
            batch_size: B.
            epoch: number of the pass, from 0; passes over sequential data may differ in length.
            words: key of everything random: the seed, and the purpose of the stream.

        Raises:
            DataError: there is not even one.
        """

    @abstractmethod
    def where(self, batch_size: int, epoch: int, position: int, *words: Word) -> Any:
        """Returns which part of the data mini-batch `position` of a pass is; a pure function.

        Args:
            batch_size: B.
            epoch: number of the pass, from 0.
            position: number of the mini-batch in the pass, from 0.
            words: key of everything random: the seed, and the purpose of the stream.
        """

    @abstractmethod
    def sweep(self, batch_size: int) -> Iterator[Any]:
        """Yields all data once in a fixed order, for evaluation; the last mini-batch may be smaller."""

    def sample(self, batch_size: int, generator: np.random.Generator) -> Any:
        """Returns which part of the data a random mini-batch is, for example to score an untrained network."""
        # Any pass has its own random order; one of 2^31 stands for a draw without a seed of its own.
        pass_ = int(generator.integers(2**31))
        return self.where(batch_size, 0, int(generator.integers(self.steps(batch_size, 0, pass_))), pass_)

    def resets(self, position: int) -> bool:
        """True if the carried state is reset before this mini-batch, as at the beginning of a pass."""
        return position == 0

    def first(self, count: int) -> Stream:
        """Returns about the first `count` examples; the whole stream if it cannot be cut."""
        return self

    def drawn(self, count: int, rng: np.random.Generator) -> Stream:
        """Returns about `count` random examples; of sequential data, its beginning."""
        return self.first(count)

    def evenly(self, batch_size: int) -> Iterator[Any]:
        """Yields all data once, as `sweep`, in mini-batches of nearly equal size if possible.

        Batch normalisation would fail on a last mini-batch of a single example.
        """
        return self.sweep(batch_size)

    def joined(self, other: Stream) -> Stream:
        """Returns the union of both streams; of sequential data, this stream alone."""
        return self


@final
class Exchangeable(Stream):
    """Examples without an order: each pass is a random permutation, whose last, incomplete mini-batch is left out.

    Args:
        indices: [N] indices into the split: a tensor of integers, a range, a list or an array.
        split: split of the task.
    """

    def __init__(self, indices: Tensor | Iterable[int], split: str = "train") -> None:
        self.indices, self.split = _whole_numbers(indices), split

    def __len__(self) -> int:
        return len(self.indices)

    def steps(self, batch_size: int, epoch: int, *words: Word) -> int:
        return epoch_length(len(self.indices), batch_size)

    def where(self, batch_size: int, epoch: int, position: int, *words: Word) -> Tensor:
        """Returns indices [B] int64."""
        step = epoch * epoch_length(len(self.indices), batch_size) + position
        return batch_indices(self.indices, batch_size, step, *words)

    def sweep(self, batch_size: int) -> Iterator[Tensor]:
        """Yields indices [up to B] int64, in the order in which they were given."""
        yield from self.indices.split(batch_size)

    def sample(self, batch_size: int, generator: np.random.Generator) -> Tensor:
        """Returns indices [B] int64, all different."""
        epoch_length(len(self.indices), batch_size)  # raises if there are fewer than B examples
        return self.indices[torch.from_numpy(generator.permutation(len(self.indices))[:batch_size])]

    def first(self, count: int) -> Exchangeable:
        """Returns the first `count` examples."""
        if not 1 <= count <= len(self.indices):
            raise DataError(f"of {len(self.indices)} examples 1 to {len(self.indices)} can be taken, not {count}")
        return Exchangeable(self.indices[:count], self.split)

    def drawn(self, count: int, rng: np.random.Generator) -> Exchangeable:
        chosen = torch.from_numpy(rng.permutation(len(self.indices))[:count])
        return Exchangeable(self.indices[chosen], self.split)

    def evenly(self, batch_size: int) -> Iterator[Tensor]:
        """Yields indices [up to B] int64, whose lengths differ by at most one."""
        yield from self.indices.tensor_split(-(-len(self.indices) // batch_size))

    def joined(self, other: Stream) -> Stream:
        """Returns the examples of both streams if they belong to the same split, else this stream alone."""
        if not isinstance(other, Exchangeable) or other.split != self.split:
            return self
        return Exchangeable(torch.cat([self.indices, other.indices]), self.split)


def _whole_numbers(given: Any) -> Tensor:
    """Returns [N] int64; raises `DataError` for anything but a list of whole numbers."""
    found = given
    if not isinstance(given, Tensor):
        numbers = list(given) if listed(given) and not isinstance(given, np.ndarray) else given
        try:
            found = torch.as_tensor(numbers, dtype=torch.int64 if listed(numbers) and not len(numbers) else None)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            found = None
    if not isinstance(found, Tensor) or found.ndim != 1 or found.dtype not in INTEGERS:
        raise DataError(f"the indices of examples are whole numbers in a row, such as range(100), not {given!r:.100}")
    return found.long()


class Timetable:
    """The mini-batches of a stream, numbered from step 0 over all passes.

    Lengths of passes are computed when they are first needed and kept, so that `locate` is a binary search.

    Args:
        stream: a part of the data.
        batch_size: B at the beginning; `resize` changes it.
        words: key of everything random: the seed, and the purpose of the stream.
    """

    def __init__(self, stream: Stream, batch_size: int, *words: Word) -> None:
        self.stream, self.words = stream, words
        self.sizes: tuple[tuple[int, int], ...] = ((0, batch_size),)
        """(first step, B) of each batch size, in the order of steps."""
        self._ends = [self._steps(0)]
        """Total number of steps at the end of each pass, as far as known."""

    @property
    def batch_size(self) -> int:
        """B of the last mini-batches."""
        return self.sizes[-1][1]

    def size(self, step: int) -> int:
        """Returns B of the mini-batch of a step."""
        if len(self.sizes) == 1:
            return self.sizes[0][1]
        return self.sizes[bisect_right(self.sizes, step, key=lambda one: one[0]) - 1][1]

    def resized(self, batch_size: int, step: int) -> tuple[tuple[int, int], ...]:
        """Returns the `sizes` after a change to `batch_size` at this step, which replaces all later changes."""
        before = [one for one in self.sizes if one[0] < step]
        return tuple(before) if before and before[-1][1] == batch_size else (*before, (step, batch_size))

    def resize(self, sizes: Iterable[tuple[int, int]]) -> None:
        """Sets `sizes`. Each change ends the current pass and begins a new one.

        Raises:
            DataError: a size is larger than the data; nothing is changed then.
        """
        before = self.sizes, self._ends
        self.sizes, self._ends = tuple((step, size) for step, size in sizes), []
        try:
            for step, _ in self.sizes:
                self._until(step + 1)
        except DataError:
            self.sizes, self._ends = before
            raise

    def _steps(self, epoch: int) -> int:
        start = self._ends[-1] if epoch else 0
        size = self.size(start)
        steps = self.stream.steps(size, epoch, *self.words)
        if steps < 1:
            raise DataError(
                f"a pass over the {len(self.stream)} of the {self.stream.split} data has no mini-batch of "
                f"{size}; take a smaller batch_size, or more data"
            )
        # A change of the batch size within this pass ends it early.
        cut = next((step for step, _ in self.sizes if step > start), None)
        return steps if cut is None else min(steps, cut - start)

    def total(self, epochs: int) -> int:
        """Returns the number of steps of the first `epochs` passes."""
        while len(self._ends) < epochs:
            self._ends.append((self._ends[-1] if self._ends else 0) + self._steps(len(self._ends)))
        return self._ends[epochs - 1] if epochs else 0

    def _until(self, step: int) -> None:
        """Computes the lengths of passes until they contain `step` steps."""
        while not self._ends or self._ends[-1] < step:
            self.total(len(self._ends) + 1)

    def locate(self, step: int) -> tuple[int, int]:
        """Returns the pass that a step is in, and its position in the pass, both from 0."""
        if self._ends[-1] <= step:
            self._until(step + 1)
        epoch = bisect_right(self._ends, step)
        return epoch, step - (self._ends[epoch - 1] if epoch else 0)

    def epoch(self, step: int) -> int:
        """Returns the pass that a step is in, from 0."""
        return self.locate(step)[0]

    def ends_epoch(self, step: int) -> bool:
        """True if a step, counted from 0, is the last one of its pass."""
        epoch, _ = self.locate(step)
        return step + 1 == self.total(epoch + 1)

    def where(self, step: int) -> Any:
        """Returns which part of the data the mini-batch of a step is."""
        return self.stream.where(self.size(step), *self.locate(step), *self.words)

    def resets(self, step: int) -> bool:
        """True if the carried state is reset before the mini-batch of a step."""
        return self.stream.resets(self.locate(step)[1])
