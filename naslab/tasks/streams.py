"""The order in which the data of a task is gone through, as a pure function of the step.

Nothing is shuffled in place and no position is kept, so a search that is resumed, rewound or run on another
machine sees the same mini-batches at the same steps.

A pass over a stream is cut into mini-batches. Where examples are exchangeable every pass has its own random order; in
sequential data, such as text, each mini-batch goes on where the one before it ended, and a network may carry its state
over. `where` says which part of the data a mini-batch is; what that is, a task knows: indices of images, the columns
and rows of a text.
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
"""Types of whole numbers, of which truth values are none."""
Word = int | str
"""Names a random choice: the seed, and what for."""


class Stream(ABC):
    """A part of the data of a task."""

    split: str
    """Of the task: "train", "valid" or "test"."""
    carries = False
    """Whether each mini-batch goes on where the one before it ended, so that a state can be carried over."""

    @abstractmethod
    def __len__(self) -> int:
        """How much there is: images, tokens, rows."""

    @abstractmethod
    def steps(self, batch_size: int, epoch: int, *words: Word) -> int:
        """Mini-batches of a pass. `DataError` if there is not even one."""

    @abstractmethod
    def where(self, batch_size: int, epoch: int, position: int, *words: Word) -> Any:
        """Which part of the data mini-batch `position` of a pass is. A pure function.

        Args:
            batch_size: B.
            epoch: the pass, from 0.
            position: of the mini-batch in the pass, from 0.
            words: what everything random is named by: the seed, and what the stream is for.
        """

    @abstractmethod
    def sweep(self, batch_size: int) -> Iterator[Any]:
        """Everything once in a fixed order, the smaller last part too: for evaluation."""

    def sample(self, batch_size: int, generator: np.random.Generator) -> Any:
        """Which part of the data a random mini-batch is, for looking at an untrained network, say."""
        pass_ = int(generator.integers(2**31))
        return self.where(batch_size, 0, int(generator.integers(self.steps(batch_size, 0, pass_))), pass_)

    def resets(self, position: int) -> bool:
        """Whether what is carried begins anew with this mini-batch: at the beginning of a pass."""
        return position == 0

    def first(self, count: int) -> Stream:
        """About the first `count` of it; all of it where it cannot be cut."""
        return self

    def drawn(self, count: int, rng: np.random.Generator) -> Stream:
        """About `count` of it, at random; where data has an order of its own, its beginning."""
        return self.first(count)

    def evenly(self, batch_size: int) -> Iterator[Any]:
        """As `sweep`, in parts as equal as can be where that is possible: no last part then is too small to be
        normalised.
        """
        return self.sweep(batch_size)

    def joined(self, other: Stream) -> Stream:
        """Both in one; where data has an order of its own, this one alone."""
        return self


@final
class Exchangeable(Stream):
    """Examples that have no order: each pass is a random permutation of them, and its last part-batch is left out.

    Args:
        indices: [N] whole numbers, into the split: a tensor, or a range, a list, an array.
        split: of the task.
    """

    def __init__(self, indices: Tensor | Iterable[int], split: str = "train") -> None:
        self.indices, self.split = _whole_numbers(indices), split

    def __len__(self) -> int:
        return len(self.indices)

    def steps(self, batch_size: int, epoch: int, *words: Word) -> int:
        return epoch_length(len(self.indices), batch_size)

    def where(self, batch_size: int, epoch: int, position: int, *words: Word) -> Tensor:
        """[B] int64."""
        step = epoch * epoch_length(len(self.indices), batch_size) + position
        return batch_indices(self.indices, batch_size, step, *words)

    def sweep(self, batch_size: int) -> Iterator[Tensor]:
        """[up to B] int64 each, in the order in which they were given."""
        yield from self.indices.split(batch_size)

    def sample(self, batch_size: int, generator: np.random.Generator) -> Tensor:
        """[B] int64, all different."""
        epoch_length(len(self.indices), batch_size)  # refuses too many
        return self.indices[torch.from_numpy(generator.permutation(len(self.indices))[:batch_size])]

    def first(self, count: int) -> Exchangeable:
        """The first `count` examples."""
        if not 1 <= count <= len(self.indices):
            raise DataError(f"of {len(self.indices)} examples 1 to {len(self.indices)} can be taken, not {count}")
        return Exchangeable(self.indices[:count], self.split)

    def drawn(self, count: int, rng: np.random.Generator) -> Exchangeable:
        chosen = torch.from_numpy(rng.permutation(len(self.indices))[:count])
        return Exchangeable(self.indices[chosen], self.split)

    def evenly(self, batch_size: int) -> Iterator[Tensor]:
        """[up to B] int64 each, whose lengths differ by one at most."""
        yield from self.indices.tensor_split(-(-len(self.indices) // batch_size))

    def joined(self, other: Stream) -> Stream:
        """The examples of both, if they are of one split."""
        if not isinstance(other, Exchangeable) or other.split != self.split:
            return self
        return Exchangeable(torch.cat([self.indices, other.indices]), self.split)


def _whole_numbers(given: Any) -> Tensor:
    """[N] int64; `DataError` for what is no list of whole numbers."""
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
    """The mini-batches of a stream, counted over all passes from step 0.

    Args:
        stream: a part of the data.
        batch_size: B.
        words: what everything random is named by.
    """

    def __init__(self, stream: Stream, batch_size: int, *words: Word) -> None:
        self.stream, self.words = stream, words
        self.sizes: tuple[tuple[int, int], ...] = ((0, batch_size),)
        """(step, B): mini-batches have so many examples from this step on."""
        self._ends = [self._steps(0)]
        """For each pass that was asked for, the steps until its end."""

    @property
    def batch_size(self) -> int:
        """B, which the mini-batches have in the end."""
        return self.sizes[-1][1]

    def size(self, step: int) -> int:
        """B, which the mini-batch of a step has."""
        if len(self.sizes) == 1:
            return self.sizes[0][1]
        return self.sizes[bisect_right(self.sizes, step, key=lambda one: one[0]) - 1][1]

    def resized(self, batch_size: int, step: int) -> tuple[tuple[int, int], ...]:
        """`sizes`, were mini-batches to have another size from this step on, whatever was to come later."""
        before = [one for one in self.sizes if one[0] < step]
        return tuple(before) if before and before[-1][1] == batch_size else (*before, (step, batch_size))

    def resize(self, sizes: Iterable[tuple[int, int]]) -> None:
        """Take these `sizes`. A pass begins with each; the one under way then ends where it is.

        `DataError`, and nothing has changed, if there is not one mini-batch of a size.
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
        cut = next((step for step, _ in self.sizes if step > start), None)
        return steps if cut is None else min(steps, cut - start)

    def total(self, epochs: int) -> int:
        """Steps of so many passes."""
        while len(self._ends) < epochs:
            self._ends.append((self._ends[-1] if self._ends else 0) + self._steps(len(self._ends)))
        return self._ends[epochs - 1] if epochs else 0

    def _until(self, step: int) -> None:
        """Know the passes of so many steps."""
        while not self._ends or self._ends[-1] < step:
            self.total(len(self._ends) + 1)

    def locate(self, step: int) -> tuple[int, int]:
        """The pass that a step is in, and its position there."""
        if self._ends[-1] <= step:
            self._until(step + 1)
        epoch = bisect_right(self._ends, step)
        return epoch, step - (self._ends[epoch - 1] if epoch else 0)

    def epoch(self, step: int) -> int:
        """The pass that a step is in."""
        return self.locate(step)[0]

    def ends_epoch(self, step: int) -> bool:
        """Whether a step, counted from 0, is the last one of its pass."""
        epoch, _ = self.locate(step)
        return step + 1 == self.total(epoch + 1)

    def where(self, step: int) -> Any:
        """Which part of the data the mini-batch of a step is."""
        return self.stream.where(self.size(step), *self.locate(step), *self.words)

    def resets(self, step: int) -> bool:
        """Whether what is carried begins anew with the mini-batch of a step."""
        return self.stream.resets(self.locate(step)[1])
