"""Mini-batches of a text for truncated backpropagation through time: parallel columns, read chunk by chunk.

A text of N tokens is cut into B columns of L = N // B consecutive tokens; the remainder at its end is not used. A
mini-batch is one chunk of every column, [B, T], and begins where the previous one ended, so that a network can carry
its state over. The targets are the tokens one position later, so that a pass predicts every token of a column except
the first exactly once.

Chunks have `bptt` tokens. In training some are shorter, and the lengths may vary at random, so that different passes
are cut at different positions (Merity, Keskar, Socher 2018, https://arxiv.org/abs/1708.02182); the last chunk of a
pass is the remainder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from naslab.errors import DataError, real, whole
from naslab.randomness import numpy_generator
from naslab.tasks.streams import Stream, Word

SHORTEST, LONGER = 5, 20
"""Bounds of random chunk lengths: at least 5 tokens (or `bptt`, if that is less), at most bptt + 20."""


@dataclass(frozen=True)
class Lengths:
    """Distribution of the chunk lengths in a training pass."""

    bptt: int = 35
    """Tokens of an ordinary chunk: the number of time steps through which gradients flow back."""
    short_share: float = 0.05
    """Probability that a chunk has half of `bptt` tokens."""
    deviation: float = 0.0
    """Standard deviation of the Gaussian noise added to each length, in tokens."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "bptt", whole("bptt", self.bptt, 1))
        for name in ("short_share", "deviation"):
            object.__setattr__(self, name, real(name, getattr(self, name)))
        if not 0 <= self.short_share <= 1:
            raise DataError(f"short_share is a share of the chunks, from 0 to 1, not {self.short_share:g}")
        if not 0 <= self.deviation < float("inf"):
            raise DataError(f"the deviation of the lengths is a number from 0 up, not {self.deviation:g}")

    def starts(self, total: int, epoch: int, *words: Word) -> tuple[int, ...]:
        """Returns the start of each chunk of a pass, and last the end of the pass, in tokens of a column.

        Args:
            total: predicted tokens of a column.
            epoch: number of the pass.
            words: key of the random numbers.
        """
        # Fixed lengths need no random numbers: without the words all passes share a cache entry per epoch.
        return _starts(self, total, epoch, words if self.short_share or self.deviation else ())

    def _draw(self, total: int, epoch: int, words: tuple[Word, ...]) -> Iterator[int]:
        if not self.short_share and not self.deviation:
            while True:
                yield self.bptt
        generator = numpy_generator(*words, "lengths", epoch)
        while True:
            length: float = self.bptt / 2 if generator.random() < self.short_share else self.bptt
            if self.deviation:
                length = max(min(SHORTEST, self.bptt), int(generator.normal(length, self.deviation)))
            yield max(1, min(int(length), self.bptt + LONGER))


@lru_cache(maxsize=8)  # one computation for all steps of a pass
def _starts(lengths: Lengths, total: int, epoch: int, words: tuple[Word, ...]) -> tuple[int, ...]:
    found = []
    for start in accumulate(lengths._draw(total, epoch, words), initial=0):
        if start >= total:
            return (*found, total)
        found.append(start)
    raise AssertionError("lengths are drawn without end")


@dataclass(frozen=True)
class Chunk:
    """Position of a mini-batch in a text: tokens `start` to `start + length` of every column."""

    columns: int
    """B, the number of columns."""
    height: int
    """L, the tokens of a column."""
    start: int
    length: int
    """T, the predicted tokens of a column."""

    def __len__(self) -> int:
        return self.columns


class Columns(Stream):
    """Stream of mini-batches of a text, read in columns.

    Args:
        tokens: N, the tokens of the text.
        lengths: distribution of the chunk lengths in training.
        split: split of the task, for error texts.
    """

    carries = True

    def __init__(self, tokens: int, lengths: Lengths, split: str) -> None:
        self.tokens, self.lengths, self.split = tokens, lengths, split

    def __len__(self) -> int:
        """Returns the number of tokens of the text."""
        return self.tokens

    def steps(self, batch_size: int, epoch: int, *words: Word) -> int:
        return len(self._starts(batch_size, epoch, *words)) - 1

    def where(self, batch_size: int, epoch: int, position: int, *words: Word) -> Chunk:
        starts = self._starts(batch_size, epoch, *words)
        start, end = starts[position : position + 2]
        return Chunk(batch_size, self.tokens // batch_size, start, end - start)

    def sweep(self, batch_size: int) -> Iterator[Chunk]:
        """Yields chunks of `bptt` tokens and the remainder; fewer columns if they would be shorter than a chunk."""
        columns = max(1, min(whole("the batch size", batch_size, 1), self.tokens // (self.lengths.bptt + 1)))
        height = self.tokens // columns
        for start in range(0, height - 1, self.lengths.bptt):
            yield Chunk(columns, height, start, min(self.lengths.bptt, height - 1 - start))

    def first(self, count: int) -> Columns:
        """Returns the stream of the first `count` tokens."""
        if not 2 <= count <= self.tokens:
            raise DataError(f"of {self.tokens} tokens 2 to {self.tokens} can be taken, not {count}")
        return Columns(count, self.lengths, self.split)

    def _starts(self, batch_size: int, epoch: int, *words: Word) -> tuple[int, ...]:
        # L tokens of a column give L - 1 predictions: the last token is a target only.
        height = self.tokens // whole("the batch size", batch_size, 1, error=DataError)
        if height < 2:
            raise DataError(
                f"the {self.split} text has {self.tokens} tokens, too few for {batch_size} columns of at least 2: take "
                f"batch_size={max(1, self.tokens // (self.lengths.bptt + 1))} or less, or give more text"
            )
        return self.lengths.starts(height - 1, epoch, *words)
