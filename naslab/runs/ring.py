"""A cache of recent states of a search in memory, for quick rewinds: about one for each second of work, fewer with age.

After a step the state is copied if the steps since the last copy would take a second to repeat, or longer if copies are
slow: copying takes at most `SHARE_OF_TIME` of the time. All caches of the process together hold at most
`CACHE_SHARE_OF_FREE` of the memory that would be free without them, and at most `CACHE_BYTES`. When that is exceeded,
the largest cache evicts the copy that leaves the smallest gap relative to its age, so that the gaps grow with age.

A copy never changes, so that a fork shares the copies of the search that it comes from. Memory that several tensors
share is counted once.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from naslab.device import available
from naslab.snapshot import State
from naslab.torch_state import default_torch_state
from naslab.transfer import state_on_host

SECONDS_APART = 1.0
"""Least number of seconds of work from one copy to the next."""
SHARE_OF_TIME = 0.01
"""Largest share of the time of a search that copying may take."""
CACHE_BYTES = 512_000_000
"""Largest number of bytes that all rings of a process may hold."""
CACHE_SHARE_OF_FREE = 0.1
"""Largest share that they may hold of the memory that would be free without them."""
CACHE_COPIES = 1000
"""Largest number of copies in one ring."""
BYTES_PER_VALUE = 1_000
"""Approximate bytes that Python and torch take for each value of a state, besides its numbers (700 for a tensor)."""


class Copy(NamedTuple):
    """A copy of the state after a step."""

    step: int
    state: State
    parts: dict[int, int]
    """Address of the memory block behind each value -> its size in bytes."""

    @classmethod
    @default_torch_state()
    def of(cls, step: int, state: State) -> Copy:
        """Returns the copy for a state that is not changed any more. Tensors on a GPU are copied to main memory."""
        here = state_on_host(state)
        parts = {}
        for value in here.values():
            if isinstance(value, torch.Tensor):
                storage = value.untyped_storage()  # a view keeps the whole block alive, not only its part
                parts[storage.data_ptr()] = storage.nbytes()
            elif isinstance(value, str):
                parts[id(value)] = sys.getsizeof(value)
        return cls(step, here, parts)

    def bytes(self, before: Copy | None = None) -> int:
        """Returns the bytes that it holds, without those that another copy holds already."""
        held = {} if before is None else before.parts
        return BYTES_PER_VALUE * len(self.state) + sum(size for part, size in self.parts.items() if part not in held)

    @default_torch_state()
    def cloned(self) -> State:
        """Returns the state in memory of its own, which a searcher may change without changing the copy."""
        return {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in self.state.items()}


class Ring:
    """The copies of one search. One thread adds copies; any thread may read."""

    def __init__(self) -> None:
        self._copies: tuple[tuple[Copy, int], ...] = ()
        """Copies in the order of their steps, each with the bytes that it holds beyond those of the copy before it. The
        tuple is replaced as a whole, so that an interrupt leaves the old ones or the new ones, and readers need no
        lock."""
        self.seconds = 0.0
        """Duration of the last copy in seconds."""
        self._work = 0.0
        """Seconds of work since the last copy."""
        self._size = 0
        """Bytes of the last copy."""
        with _lock:
            _rings.add(self)

    def passed(self, step: int, seconds: float, state: Callable[[], State]) -> None:
        """Called after each step: keeps a copy of the state, if it is time for one.

        Args:
            step: number of the step.
            seconds: time that repeating it would take.
            state: returns the state in memory of its own; called only if a copy is due.
        """
        self._work += seconds
        if self._work < SECONDS_APART or self._work < self.seconds / SHARE_OF_TIME:
            return
        self._work = 0.0
        with _lock:
            if self._size > cache_limit():
                return
        begun = time.perf_counter()
        copy = Copy.of(step, state())
        self._size = copy.bytes()
        with _lock:
            place = self._count_until(step)
            there = place > 0 and self._copies[place - 1][0].step == step  # a repeated step replaces its copy
            self._splice(place - there, place, [copy])
            if len(self._copies) > CACHE_COPIES:
                self._evict_one()
            _evict()
        self.seconds = time.perf_counter() - begun

    @property
    def steps(self) -> list[int]:
        """Steps whose state is held, in order."""
        return [copy.step for copy, _ in self._copies]

    @property
    def bytes(self) -> int:
        """Bytes that its copies hold."""
        return sum(more for _, more in self._copies)

    def before(self, step: int) -> Copy | None:
        """Returns the latest copy that is not later than a step; None if there is none."""
        copies = self._copies
        place = bisect_right(copies, step, key=_step)
        return copies[place - 1][0] if place else None

    def share(self, other: Ring, step: int) -> None:
        """Share the copies of another ring up to a step, until which both searches are the same."""
        with _lock:
            self._copies = other._copies[: other._count_until(step)]

    def cut(self, step: int) -> None:
        """Drop the copies after a step, which a rewind has abandoned."""
        with _lock:
            self._copies = self._copies[: self._count_until(step)]
        self._work = 0.0

    def clear(self) -> None:
        """Drop all copies."""
        with _lock:
            self._copies = ()

    def _count_until(self, step: int) -> int:
        """Returns the number of copies that are not later than a step."""
        return bisect_right(self._copies, step, key=_step)

    def _evict_one(self) -> None:
        """Drop the copy that is missed least. The caller holds the lock."""
        place = _least_missed(self.steps)
        self._splice(place, place + 1, [])

    def _splice(self, start: int, stop: int, copies: Sequence[Copy]) -> None:
        """Replace the copies from index `start` to `stop`, and recompute the shared bytes at both ends."""
        before = self._copies[start - 1][0] if start else None
        new, after = [], list(self._copies[stop:])
        for copy in copies:
            new.append((copy, copy.bytes(before)))
            before = copy
        if after:
            after[0] = after[0][0], after[0][0].bytes(before)
        self._copies = (*self._copies[:start], *new, *after)


_lock = threading.Lock()
"""Held while copies are added or dropped, in any ring. No other lock is taken under it."""
_rings: weakref.WeakSet[Ring] = weakref.WeakSet()
"""All rings of this process."""


def cached_bytes() -> int:
    """Returns the bytes that all rings of this process hold; a copy that several share counts once."""
    found = {id(copy): more for ring in _rings for copy, more in ring._copies}
    return sum(found.values())


def cache_limit() -> int:
    """Returns the bytes that all rings may hold now."""
    free = available()
    return CACHE_BYTES if free is None else min(CACHE_BYTES, int(CACHE_SHARE_OF_FREE * (free + cached_bytes())))


def _evict() -> None:
    """Drop copies until the limit is kept. The caller holds the lock."""
    most = cache_limit()
    while cached_bytes() > most:
        max(_rings, key=lambda ring: ring.bytes)._evict_one()


def _least_missed(steps: Sequence[int]) -> int:
    """Returns the index of the copy to evict.

    It minimises (gap left by its removal) / (age + 1), both in steps, so that copies end up at roughly exponentially
    growing distances. The state of step 0 is stored elsewhere, and the newest copy is evicted last.
    """
    if len(steps) == 1:
        return 0
    newest, before = steps[-1], [0, *steps]
    return min(
        range(len(steps) - 1), key=lambda place: (steps[place + 1] - before[place]) / (newest - steps[place] + 1)
    )


def _step(held: tuple[Copy, int]) -> int:
    return held[0].step


def _unlock() -> None:
    """Replaces the lock in a forked child: a thread of the parent may have held it, which the child does not have."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)
