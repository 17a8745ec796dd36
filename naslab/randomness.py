"""Randomness by counter: a generator is a pure function of what it is for.

`torch_generator(seed, "augment", step)` gives the same numbers whenever it is asked, so that no generator's
state has to be saved, and no result depends on which process, thread or attempt came to it.
"""

from __future__ import annotations

import functools
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from naslab.errors import SpecError, whole

_GLOBAL_GENERATOR = threading.RLock()


def _seed_sequence(words: tuple[int | str, ...]) -> np.random.SeedSequence:
    return np.random.SeedSequence(
        [zlib.crc32(word.encode()) if isinstance(word, str) else whole("a seed", word) for word in words]
    )


def numpy_generator(*words: int | str) -> np.random.Generator:
    """NumPy generator named by the words (strings and non-negative integers)."""
    return np.random.Generator(np.random.PCG64(_seed_sequence(words)))


def generator_of(rng: np.random.Generator | int) -> np.random.Generator:
    """The generator; from a seed, a whole number, that of `np.random.default_rng(seed)`. `SpecError` for others."""
    if isinstance(rng, np.random.Generator):
        return rng
    try:
        return np.random.default_rng(whole("rng", rng))
    except SpecError:
        raise SpecError(
            "rng is a generator of NumPy, np.random.default_rng(0), or a seed, a whole number from 0 up; "
            f"not {rng!r:.200}"
        ) from None


class BlockGenerator(np.random.Generator):
    """A NumPy generator that is quick at a few uniform numbers at a time, `uniforms(2)`.

    `random(2)` costs NumPy a microsecond, nearly all of it not for the numbers. Here one call of it draws a block, from
    which `uniforms` takes. Everything comes out as without blocks, bit for bit: whatever else is asked for in between,
    and the state of the `bit_generator`, is as if the rest of the block had never been drawn. One thread at a time.
    """

    BLOCK = 512

    def __init__(self, bit_generator: np.random.BitGenerator) -> None:
        super().__init__(bit_generator)
        self._block: list[float] = []
        self._taken = self.BLOCK
        """How many of the block are given away."""
        self._before: Any = None
        """State of the bit generator from which the block was drawn."""
        self._in_a_row = False
        """Whether `uniforms` was called last: a block that something else would cut short is not worth drawing."""

    def uniforms(self, count: int) -> list[float]:
        """The same as `random(count).tolist()`."""
        begin = self._taken
        end = begin + count
        if begin <= end <= self.BLOCK:
            self._taken = end
            return self._block[begin:end]
        whole_block = self._in_a_row and 0 <= count <= self.BLOCK
        self._settle()
        self._in_a_row = True
        if not whole_block:
            return super().random(count).tolist()
        self._before = super().bit_generator.state
        self._block = super().random(self.BLOCK).tolist()
        self._taken = count
        return self._block[:count]

    def _settle(self) -> None:
        """Back to behind the last number that was given away."""
        if self._taken < self.BLOCK:
            super().bit_generator.state = self._before
            super().random(self._taken)
            self._taken = self.BLOCK
        self._in_a_row = False

    @property
    def bit_generator(self) -> np.random.BitGenerator:
        """See NumPy."""
        self._settle()
        return super().bit_generator

    def __reduce__(self) -> Any:
        self._settle()
        return super().__reduce__()


def _settled(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: BlockGenerator, *args: Any, **kwargs: Any) -> Any:
        self._settle()
        return method(self, *args, **kwargs)

    return call


for _name in vars(np.random.Generator).keys() - vars(BlockGenerator).keys():
    if not _name.startswith("_") and callable(getattr(np.random.Generator, _name)):
        setattr(BlockGenerator, _name, _settled(getattr(np.random.Generator, _name)))


def uniforms(generator: np.random.Generator, count: int) -> list[float]:
    """The same as `generator.random(count).tolist()`; from a `BlockGenerator` in a third of the time."""
    if isinstance(generator, BlockGenerator):
        return generator.uniforms(count)
    return generator.random(count).tolist()


def torch_generator(*words: int | str) -> torch.Generator:
    """CPU torch generator named by the words."""
    state = int(_seed_sequence(words).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(state & (2**63 - 1))


@contextmanager
def seeded(*words: int | str) -> Iterator[None]:
    """Inside, torch's global generator is seeded by the words; outside, it is left as it was.

    For what takes no generator: the initialisation of torch's own modules, and dropout. One thread at a time: the
    generator belongs to the whole process.
    """
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with _GLOBAL_GENERATOR, torch.random.fork_rng(devices=devices):
        torch.manual_seed(torch_generator(*words).initial_seed())
        yield
