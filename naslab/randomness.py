"""Counter-based randomness: a generator is a pure function of a key, which says what the numbers are for.

`torch_generator(seed, "augment", step)` gives the same numbers at every call. So no generator's state has to be saved
or wound on when a run is resumed or rewound, and no result depends on the process, thread or attempt that computed it.
The words of a key are part of the results: another word gives other numbers, and they must not be changed.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

from naslab.errors import SpecError, whole
from naslab.torch_state import PROCESS_STATE


def _seed_sequence(words: tuple[int | str, ...]) -> np.random.SeedSequence:
    """Returns NumPy's seed sequence of a key, which mixes its integers into a well-distributed seed, so that keys which
    differ in one bit have independent streams. Strings become integers by CRC-32: `hash` differs between processes.
    """
    return np.random.SeedSequence(
        [zlib.crc32(word.encode()) if isinstance(word, str) else whole("a seed", word) for word in words]
    )


def numpy_generator(*words: int | str) -> np.random.Generator:
    """Returns the NumPy generator of a key of strings and non-negative integers."""
    return np.random.Generator(np.random.PCG64(_seed_sequence(words)))


def generator_of(rng: np.random.Generator | int) -> np.random.Generator:
    """Returns a generator as it is, and `np.random.default_rng(seed)` for a seed; `SpecError` for anything else."""
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
    """A NumPy generator that is fast at drawing a few uniform numbers at a time, by `uniforms`.

    `random(2)` takes NumPy a microsecond, nearly all of it overhead of the call. Here one call draws a block of `BLOCK`
    numbers, from which `uniforms` takes. All results are the same as without blocks, bit for bit: before any other
    method, and before the state of the `bit_generator` is read, the generator goes back to the state in which only the
    numbers that were used had been drawn. Not thread-safe.
    """

    BLOCK = 512

    def __init__(self, bit_generator: np.random.BitGenerator) -> None:
        super().__init__(bit_generator)
        self._block: list[float] = []
        self._taken = self.BLOCK
        """Number of the block's values that were used; `BLOCK` if there is no block."""
        self._before: Any = None
        """State of the bit generator before the block was drawn."""
        self._in_a_row = False
        """True if `uniforms` was the last method called. A block is drawn at the second call in a row only, because
        another method in between would throw it away."""

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
        """Go back to the state after the last number that was used: restore the old state and draw these again."""
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
    """Returns a method of `np.random.Generator` that first gives back the unused part of a block."""

    @functools.wraps(method)
    def call(self: BlockGenerator, *args: Any, **kwargs: Any) -> Any:
        self._settle()
        return method(self, *args, **kwargs)

    return call


for _name in vars(np.random.Generator).keys() - vars(BlockGenerator).keys():
    if not _name.startswith("_") and callable(getattr(np.random.Generator, _name)):
        setattr(BlockGenerator, _name, _settled(getattr(np.random.Generator, _name)))


def uniforms(generator: np.random.Generator, count: int) -> list[float]:
    """Returns `generator.random(count).tolist()`; from a `BlockGenerator` in a third of the time."""
    if isinstance(generator, BlockGenerator):
        return generator.uniforms(count)
    return generator.random(count).tolist()


def torch_generator(*words: int | str) -> torch.Generator:
    """Returns the CPU torch generator of a key of strings and non-negative integers."""
    state = int(_seed_sequence(words).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(state & (2**63 - 1))  # torch takes a signed 64-bit seed


@contextmanager
def seeded(*words: int | str, device: torch.device | str | None = None) -> Iterator[None]:
    """Inside, torch's global generators are seeded by the key; afterwards, they have the state that they had before.

    For code that takes no generator: the initialisation of torch's modules, and dropout. Only one thread at a time is
    inside, because the generators belong to the whole process.

    Args:
        words: the key.
        device: where the code draws. The generator of the CPU is seeded in any case, and that of one GPU, if it is a
            GPU; other GPUs are left alone. If left out: the current CUDA device if the process has used CUDA, which is
            not initialised for this.
    """
    seed = torch_generator(*words).initial_seed()
    with PROCESS_STATE, ExitStack() as stack:
        stack.callback(torch.set_rng_state, torch.get_rng_state())
        where = _device_in_use() if device is None else torch.device(device)
        if where.type == "cuda":
            torch.cuda.init()
            generator = torch.cuda.default_generators[
                torch.cuda.current_device() if where.index is None else where.index
            ]
            stack.callback(generator.set_state, generator.get_state())
            generator.manual_seed(seed)
        elif where.type == "mps":
            stack.callback(torch.mps.set_rng_state, torch.mps.get_rng_state())
            torch.mps.manual_seed(seed)
        torch.default_generator.manual_seed(seed)
        yield


def _device_in_use() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_initialized() else "cpu")
