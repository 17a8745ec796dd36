"""Randomness by counter: a generator is a pure function of what it is for.

`torch_generator(seed, "augment", step)` gives the same numbers whenever it is asked, so that no generator's
state has to be saved, and no result depends on which process, thread or attempt came to it.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

_GLOBAL_GENERATOR = threading.RLock()


def _seed_sequence(words: tuple[int | str, ...]) -> np.random.SeedSequence:
    return np.random.SeedSequence([zlib.crc32(w.encode()) if isinstance(w, str) else w for w in words])


def numpy_generator(*words: int | str) -> np.random.Generator:
    """NumPy generator named by the words (strings and non-negative integers)."""
    return np.random.Generator(np.random.PCG64(_seed_sequence(words)))


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
