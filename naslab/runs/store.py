"""Where a search keeps its events and snapshots: in a run folder (`naslab.runs.folder`), or in memory."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch

from naslab.blobs import Blobs
from naslab.events import Event
from naslab.runs.branches import DeadEnd, Record, Row
from naslab.snapshot import State
from naslab.torch_state import default_torch_state

OLDER_KEPT = 8
"""Snapshots that are kept besides the first and the last two."""


class Store(Protocol):
    """What `naslab.Search` writes to. Errors of the disk come out as `OSError`, and then nothing was changed."""

    blobs: Blobs
    """States that are kept by their checksum."""
    run: str
    """What tells the run from all others."""
    parent: Mapping[str, Any] | None
    """For a fork: the `run` that it comes from, its "path" if it is in a folder, and the "step"."""

    def append(self, events: Sequence[Event]) -> None:
        """Keep the events of one step, all or none; a step that stands already is not kept twice."""
        ...

    def rows(self) -> Sequence[Row | Record]:
        """Every event of the living branch."""
        ...

    def abandon(self, step: int) -> None:
        """Leave what came after the step: its events as a dead branch, its snapshots not at all."""
        ...

    def dead_ends(self) -> Sequence[DeadEnd]:
        """What was left so, each time."""
        ...

    def save(self, step: int, state: State) -> None:
        """Keep a snapshot of the moment after the step, and drop those that the policy no longer keeps."""
        ...

    def load(self, step: int) -> State:
        """The snapshot again, or `SnapshotDamaged`."""
        ...

    def snapshots(self) -> list[int]:
        """Steps of the snapshots that stand, in order."""
        ...

    def set_aside(self, step: int) -> None:
        """Take a damaged snapshot out of use."""
        ...

    def close(self) -> None: ...


def kept(steps: Iterable[int], every: int) -> set[int]:
    """Which snapshots stay, so that their number stays bounded while every step can still be reached.

    The first and the last two; of the others those at multiples of `every`, or of 2, 4, 8, ... times `every`, as
    few as leaves at most `OLDER_KEPT`. From any step the next snapshot before it is then at most about an eighth of
    the run away, and the way from there is computed again.
    """
    ordered = sorted(steps)
    older = [step for step in ordered[:-2] if step]
    stride = every
    while len([step for step in older if step % stride == 0]) > OLDER_KEPT:
        stride *= 2
    return {*ordered[:1], *ordered[-2:], *(step for step in older if step % stride == 0)}


class Memory:
    """A store that is gone with the process; with it, too, a search can be rewound and forked."""

    def __init__(self, every: int, rows: Iterable[Row | Record] = (), parent: Mapping[str, Any] | None = None) -> None:
        self._every = every
        self._rows: list[Row | Record] = list(rows)
        self._states: dict[int, State] = {}
        self._dead_ends: list[DeadEnd] = []
        self.blobs = Blobs()
        self.run, self.parent = uuid.uuid4().hex, parent

    def append(self, events: Sequence[Event]) -> None:
        last = self._rows[-1] if self._rows else None
        if isinstance(last, Row) and last.event is events[-1]:
            return
        now = time.time()
        self._rows.extend([Row(number, now, event) for number, event in enumerate(events, len(self._rows) + 1)])

    def rows(self) -> Sequence[Row | Record]:
        return list(self._rows)

    def abandon(self, step: int) -> None:
        """Of the events that are left nothing is kept but how far they went."""
        self._dead_ends += DeadEnd.left(self._rows, step)
        self._rows = [row for row in self._rows if row.step <= step]
        self._states = {at: state for at, state in self._states.items() if at <= step}

    def dead_ends(self) -> Sequence[DeadEnd]:
        return list(self._dead_ends)

    @default_torch_state()
    def save(self, step: int, state: State) -> None:
        self._states[step] = {
            name: value.cpu() if isinstance(value, torch.Tensor) else value for name, value in state.items()
        }
        stay = kept(self._states, self._every)
        self._states = {at: kept_state for at, kept_state in self._states.items() if at in stay}

    @default_torch_state()
    def load(self, step: int) -> State:
        return {
            name: value.clone() if isinstance(value, torch.Tensor) else value
            for name, value in self._states[step].items()
        }

    def snapshots(self) -> list[int]:
        return sorted(self._states)

    def set_aside(self, step: int) -> None:
        del self._states[step]

    def close(self) -> None:
        self._states.clear()
