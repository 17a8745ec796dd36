"""Streams of several tasks as one, whose mini-batches take turns."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, final

import numpy as np

from naslab.errors import DataError
from naslab.immutable import FrozenDict
from naslab.tasks.streams import Stream, Word


class Share(NamedTuple):
    """Which part of the data a mini-batch of several tasks is: one of a single task."""

    task: str
    split: str
    """Split of the stream of this task: one task may have validation data of its own where another has none."""
    where: Any
    """What `where` of that stream returned."""


@functools.lru_cache(maxsize=256)
def _order(counts: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Returns for each mini-batch of a pass its task and its number there: `counts` mini-batches of each task, each
    task's at equal distances. Mini-batch i of n stands at (i + 1/2) / n of the pass."""
    places = ((i + 0.5) / count for count in counts for i in range(count))
    pairs = ((task, i) for task, count in enumerate(counts) for i in range(count))
    return tuple(pair for _, pair in sorted(zip(places, pairs, strict=True)))


@final
class Interleaved(Stream):
    """Streams of several tasks, whose mini-batches take turns in proportion to their numbers.

    Args:
        streams: name of each task -> its stream.
        split: split of the stream as a whole.
    """

    def __init__(self, streams: Mapping[str, Stream], split: str) -> None:
        self.streams, self.split = FrozenDict(streams), split

    def __len__(self) -> int:
        return sum(map(len, self.streams.values()))

    def _counts(self, batch_size: int, epoch: int, *words: Word) -> tuple[int, ...]:
        found = []
        for name, stream in self.streams.items():
            try:
                found.append(stream.steps(batch_size, epoch, *words))
            except DataError as error:
                raise DataError(f"the task {name!r} of several: {error}") from error
        return tuple(found)

    def steps(self, batch_size: int, epoch: int, *words: Word) -> int:
        return sum(self._counts(batch_size, epoch, *words))

    def where(self, batch_size: int, epoch: int, position: int, *words: Word) -> Share:
        task, number = _order(self._counts(batch_size, epoch, *words))[position]
        name = list(self.streams)[task]
        stream = self.streams[name]
        return Share(name, stream.split, stream.where(batch_size, epoch, number, *words))

    def _all(self, each: Callable[[Stream], Iterator[Any]]) -> Iterator[Share]:
        for name, stream in self.streams.items():
            for where in each(stream):
                yield Share(name, stream.split, where)

    def sweep(self, batch_size: int) -> Iterator[Share]:
        """Yields all data once, task by task."""
        return self._all(lambda stream: stream.sweep(batch_size))

    def evenly(self, batch_size: int) -> Iterator[Share]:
        return self._all(lambda stream: stream.evenly(batch_size))

    def sample(self, batch_size: int, generator: np.random.Generator) -> Share:
        """Returns a random mini-batch of a random task, drawn in proportion to the sizes of the tasks."""
        sizes = np.array([len(stream) for stream in self.streams.values()], float)
        name = list(self.streams)[int(generator.choice(len(sizes), p=sizes / sizes.sum()))]
        stream = self.streams[name]
        return Share(name, stream.split, stream.sample(batch_size, generator))

    def _cut(self, count: int, cut: Callable[[Stream, int], Stream]) -> Interleaved:
        """Returns `count` examples in all, of each task in proportion to its size and at least one."""
        total = len(self)
        if not 1 <= count <= total:
            raise DataError(f"of {total} examples 1 to {total} can be taken, not {count}")
        shares = {name: max(1, round(count * len(stream) / total)) for name, stream in self.streams.items()}
        return Interleaved({name: cut(stream, shares[name]) for name, stream in self.streams.items()}, self.split)

    def first(self, count: int) -> Interleaved:
        return self._cut(count, lambda stream, share: stream.first(share))

    def drawn(self, count: int, rng: np.random.Generator) -> Interleaved:
        return self._cut(count, lambda stream, share: stream.drawn(share, rng))

    def joined(self, other: Stream) -> Interleaved:
        if not isinstance(other, Interleaved):
            return self
        joined = {name: stream.joined(other.streams[name]) for name, stream in self.streams.items()}
        return Interleaved(joined, self.split)
