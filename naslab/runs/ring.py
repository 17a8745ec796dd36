"""States of a search that lie in memory, so that a moment is back at once: about one a second, thinner with age.

After a step a copy of the state is taken if there is a second of work since the last one that would have to be done
again, or more where a copy is dear: copies take at most `SHARE` of the time. What all rings of the process hold is at
most `OF_FREE` of the memory that would be free without them, and never more than `MOST_BYTES`. When there is no more
room, the copy goes from the largest ring whose loss is felt least: that which leaves the smallest gap for its age. So
the gaps grow with the age.

A copy never changes once it is taken, so that a fork shares those of the search that it comes from. What tensors share
is counted once.
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

APART = 1.0
"""Seconds of work from one copy to the next, at least."""
SHARE = 0.01
"""Of the time of a search, what copies may take."""
MOST_BYTES = 512_000_000
"""That all rings of a process hold."""
OF_FREE = 0.1
"""Of the memory that would be free without them, what they hold at most."""
MOST_COPIES = 1000
"""In one ring."""
OVERHEAD = 1_000
"""Bytes of each value of a state that Python and torch take beside its numbers (700 for a tensor), about."""


class Copy(NamedTuple):
    """The state after a step."""

    step: int
    state: State
    parts: dict[int, int]
    """Address of what its values lie in -> bytes there."""

    @classmethod
    @default_torch_state()
    def of(cls, step: int, state: State) -> Copy:
        """Of a state that nobody changes any more. What lies on a GPU is brought into memory."""
        here = {name: value.cpu() if isinstance(value, torch.Tensor) else value for name, value in state.items()}
        parts = {}
        for value in here.values():
            if isinstance(value, torch.Tensor):
                storage = value.untyped_storage()  # all of it stays, also where the tensor is a part of it
                parts[storage.data_ptr()] = storage.nbytes()
            elif isinstance(value, str):
                parts[id(value)] = sys.getsizeof(value)
        return cls(step, here, parts)

    def bytes(self, before: Copy | None = None) -> int:
        """What it holds, without what another holds already."""
        held = {} if before is None else before.parts
        return OVERHEAD * len(self.state) + sum(size for part, size in self.parts.items() if part not in held)

    @default_torch_state()
    def again(self) -> State:
        """The state, copied, so that it stays what it was whoever moves on from it."""
        return {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in self.state.items()}


class Ring:
    """The copies of one search. One thread adds to it; any may look into it."""

    def __init__(self) -> None:
        self._copies: tuple[tuple[Copy, int], ...] = ()
        """Each with the bytes that it holds beyond those of the one before it. Replaced as a whole, so that an
        interrupt leaves the old ones or the new ones."""
        self.seconds = 0.0
        """That the last copy took."""
        self._work = 0.0
        """Seconds of work since then."""
        self._size = 0
        """Bytes of the last copy."""
        with _lock:
            _rings.add(self)

    def passed(self, step: int, seconds: float, state: Callable[[], State]) -> None:
        """A step was done, in so many seconds: keep a copy of the state after it, if it is time for one.

        Args:
            step: its number.
            seconds: that it would take to do it again.
            state: gives the state, copied.
        """
        self._work += seconds
        if self._work < APART or self._work < self.seconds / SHARE:
            return
        self._work = 0.0
        with _lock:
            if self._size > most_bytes():
                return
        begun = time.perf_counter()
        copy = Copy.of(step, state())
        self._size = copy.bytes()
        with _lock:
            place = self._place(step)
            there = place > 0 and self._copies[place - 1][0].step == step
            self._splice(place - there, place, [copy])
            if len(self._copies) > MOST_COPIES:
                self._drop()
            _make_room()
        self.seconds = time.perf_counter() - begun

    @property
    def steps(self) -> list[int]:
        """Whose state lies here, in their order."""
        return [copy.step for copy, _ in self._copies]

    @property
    def bytes(self) -> int:
        """What its copies hold."""
        return sum(more for _, more in self._copies)

    def before(self, step: int) -> Copy | None:
        """The last copy of a moment that is not later."""
        copies = self._copies
        place = bisect_right(copies, step, key=_step)
        return copies[place - 1][0] if place else None

    def share(self, other: Ring, step: int) -> None:
        """Hold what another holds up to a step, which is the same here."""
        with _lock:
            self._copies = other._copies[: other._place(step)]

    def cut(self, step: int) -> None:
        """Forget what is later than the step: it is not what will come now."""
        with _lock:
            self._copies = self._copies[: self._place(step)]
        self._work = 0.0

    def clear(self) -> None:
        """Hold nothing."""
        with _lock:
            self._copies = ()

    def _place(self, step: int) -> int:
        """How many copies are not later than a step."""
        return bisect_right(self._copies, step, key=_step)

    def _drop(self) -> None:
        """Forget the copy whose loss is felt least."""
        place = _least_missed(self.steps)
        self._splice(place, place + 1, [])

    def _splice(self, start: int, stop: int, copies: Sequence[Copy]) -> None:
        """Put copies in the place of others."""
        before = self._copies[start - 1][0] if start else None
        new, after = [], list(self._copies[stop:])
        for copy in copies:
            new.append((copy, copy.bytes(before)))
            before = copy
        if after:
            after[0] = after[0][0], after[0][0].bytes(before)
        self._copies = (*self._copies[:start], *new, *after)


_lock = threading.Lock()
"""Held while copies come or go, in whichever ring."""
_rings: weakref.WeakSet[Ring] = weakref.WeakSet()
"""All of this process."""


def held_bytes() -> int:
    """What all rings of this process hold; what several share, once."""
    found = {id(copy): more for ring in _rings for copy, more in ring._copies}
    return sum(found.values())


def most_bytes() -> int:
    """What they may hold now."""
    free = available()
    return MOST_BYTES if free is None else min(MOST_BYTES, int(OF_FREE * (free + held_bytes())))


def _make_room() -> None:
    most = most_bytes()
    while held_bytes() > most:
        max(_rings, key=lambda ring: ring.bytes)._drop()


def _least_missed(steps: Sequence[int]) -> int:
    """The place of the copy without which the gap is the smallest for its age. The beginning is kept elsewhere, and the
    newest copy goes last.
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
    """In a forked process: another thread of the parent's may have held the lock."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)
